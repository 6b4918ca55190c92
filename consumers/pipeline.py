"""The life of one call, from a delivery to its confirmed end, in the order in which it happens."""

from __future__ import annotations

import asyncio
import time

import structlog

from gateway.errors import Expired, GatewayError, Refused
from gateway.executor import Ended
from gateway.metrics import Metrics
from gateway.outcomes.protocol import Recorded
from gateway.retry import RetryPolicy
from schemas import names
from schemas.reply import ErrorType, Outcome

from .claims import Claims, Occupied
from .codec import Delivery, Poison, address_of
from .copies import delayed_copy, rung_after, rung_within
from .endings import Endings
from .opening import Opener
from .overflow import Mover
from .replies import error_in
from .settlement import Finish, end_unopened, finish, settle
from .tries import Tries
from .turns import Closing, Overflow, Park, no_slot
from .work import Work

LONGEST_SLEEP = 1.0
"""Seconds that a retry is slept in the process; a longer pause is spent on a retry rung."""
IN_QUEUE = "the call's time ran out in its queue"

log = structlog.get_logger()


class Pipeline:
    """Carries deliveries to their end; knows nothing of channels and acks."""

    def __init__(
        self,
        *,
        opener: Opener,
        claims: Claims,
        tries: Tries,
        endings: Endings,
        policy: RetryPolicy,
        metrics: Metrics,
        overflow: Mover,
    ) -> None:
        self._opener = opener
        self._claims = claims
        self._tries = tries
        self._endings = endings
        self._policy = policy
        self._metrics = metrics
        self._overflow = overflow
        self._in_hand: dict[tuple[str | None, ...], asyncio.Future[bool]] = {}

    async def process(self, delivery: Delivery, alias: str) -> bool:
        """Carry a delivery to its end. True: it may be acked; False: it goes back to its queue."""
        try:
            work = self._opener.open(delivery, alias)
        except (Poison, GatewayError) as problem:
            await self._end_unopened(delivery, alias, problem)
            return True
        # Two publishes of one id wait for two answers: only the same message is the same delivery.
        key = (alias, work.job.call_id, work.address.reply_to, work.address.correlation_id)
        if delivery.redelivered and (first := self._in_hand.get(key)):
            # Its connection broke while this process had it in hand; the end is that one's end.
            return await asyncio.shield(first)
        self._in_hand[key] = ended = asyncio.get_running_loop().create_future()
        done = False
        try:
            done = await self._carry(work)
        except Exception:
            defect = _defect()
            await self._claims.end(work, defect, self._endings.said(work, defect, None))
            raise
        finally:
            ended.set_result(done)
            if self._in_hand.get(key) is ended:
                del self._in_hand[key]
        return done

    async def end_defect(self, delivery: Delivery, alias: str) -> None:
        """End a delivery whose processing broke down, so that it does not come back for ever."""
        await self._end_unopened(delivery, alias, _defect())

    async def end_expired(self, delivery: Delivery, alias: str) -> bool:
        """End a call whose time ran out in its queue; False where no record can know more of it."""
        try:
            work = self._opener.open(delivery, alias)
        except (Poison, GatewayError):
            return False
        if work.question is None:
            return False
        error: GatewayError = Expired(IN_QUEUE)
        try:
            if recorded := await self._claims.of_expired(work):
                await self._say_again(work, recorded)
                return True
        except GatewayError as raised:
            error = raised
        await self._finish(work, finish(error, has_reply_to=work.has_reply_to), Ended(None, error))
        return True

    async def _carry(self, work: Work) -> bool:
        if work.lane == "interactive":
            self._overflow.make_way()
        while True:
            try:
                ended = await self._try(work)
            except (Overflow, Park) as elsewhere:
                if await self._wait_elsewhere(work, elsewhere):
                    return True
                ended = Ended(None, no_slot(max(0.0, elsewhere.not_before - time.time())))
            except Occupied as occupied:
                await self._send_later(work, occupied.rung, "repeat")
                return True
            except Closing:
                return await self._give_back(work)
            if isinstance(ended, Recorded):
                await self._say_again(work, ended)
                return True
            if await self._settle(work, ended):
                return True

    async def _try(self, work: Work) -> Ended | Recorded:
        try:
            recorded = await self._claims.take(work)
            if recorded is not None:
                return recorded
            await self._opener.claim(work)
        except GatewayError as error:
            return Ended(None, error)
        return await self._tries.make(work)

    async def _settle(self, work: Work, ended: Ended) -> bool:
        """End the call or send it on; False where it is to be tried again now."""
        passed = self._opener.pass_on(work, ended)
        if passed is None:
            return False
        decision = settle(
            passed.error, work.job, time.time(), self._policy, has_reply_to=work.has_reply_to
        )
        if isinstance(decision, Finish):
            await self._finish(work, decision, passed)
            return True
        rung = rung_after(decision.delay)
        # A rung that outlasts the deadline would make the answer late.
        if decision.delay > LONGEST_SLEEP and time.time() + rung < work.job.deadline:
            await self._send_later(work, rung, "retry")
            return True
        await asyncio.sleep(decision.delay)
        self._opener.choose_again(work)
        return False

    async def _finish(self, work: Work, decision: Finish, ended: Ended) -> None:
        await self._opener.end(work, decision.error)
        said = self._endings.said(work, decision.error, ended.answer)
        # Before the reply: who gets the call after a crash then says the same.
        stands = await self._claims.end(work, decision.error, said)
        if stands == said:
            log_id = ended.answer.log_id if ended.answer else None
            await self._endings.of_work(work, decision, said, log_id=log_id)
        else:
            await self._say_again(work, stands)

    async def _say_again(self, work: Work, recorded: Recorded) -> None:
        ending = finish(error_in(recorded), has_reply_to=work.has_reply_to)
        await self._endings.of_work(work, ending, recorded, duplicate=True)

    async def _wait_elsewhere(self, work: Work, why: Overflow | Park) -> bool:
        """Have the call wait in the broker; False where it would come back too late from there."""
        if isinstance(why, Overflow):
            await self._claims.hand_back(work)
            if await self._overflow.move(work, why.bucket):
                return True
            log.warning("call not moved", call_id=work.job.call_id, bucket=why.bucket.name)
        rung = rung_within(why.not_before - time.time())
        if time.time() + rung >= work.job.deadline:
            return False
        await self._send_later(work, rung, "limit", not_before=why.not_before)
        return True

    async def _give_back(self, work: Work) -> bool:
        if work.job.redeliverable and not work.job.tries:
            await self._opener.release(work)
            await self._claims.hand_back(work)
            return False
        # Back in its queue it would be redelivered, and look as if it had been started.
        await self._send_later(work, rung_after(0), "drain")
        return True

    async def _send_later(
        self, work: Work, rung: int, why: str, *, not_before: float = 0.0
    ) -> None:
        job, delivery = work.job, work.delivery
        # First: the copy is claimed again when it comes, perhaps by another process.
        await self._claims.hand_back(work)
        properties = delayed_copy(
            delivery,
            work.envelope,
            attempts=job.attempts,
            tries=job.tries,
            not_before=not_before,
        )
        await self._endings.send_on(
            names.rung(rung), delivery.routing_key, delivery.body, properties
        )
        self._metrics.calls_parked.labels(why).inc()
        log.debug("call parked", call_id=job.call_id, api=job.route.name, rung=rung, why=why)

    async def _end_unopened(
        self, delivery: Delivery, alias: str, problem: Poison | GatewayError
    ) -> None:
        address = address_of(delivery)
        ending = end_unopened(problem, has_reply_to=address.reply_to is not None)
        await self._endings.of_delivery(delivery, alias, ending, address)


def _defect() -> GatewayError:
    return Refused(ErrorType.INTERNAL, "a defect in the gateway", outcome=Outcome.UNKNOWN)
