"""The life of one call, from a delivery to its confirmed end, in the order in which it happens."""

from __future__ import annotations

import asyncio
import time

import structlog

from gateway.errors import GatewayError, Refused
from gateway.executor import Ended
from gateway.metrics import Metrics
from gateway.retry import RetryPolicy
from schemas import names
from schemas.reply import ErrorType, Outcome

from .codec import Delivery, Poison, address_of
from .copies import delayed_copy, rung_after, rung_within
from .endings import Endings
from .opening import Opener
from .overflow import Mover
from .settlement import Finish, end_unopened, finish, redelivered_unsafe, settle
from .tries import Tries
from .turns import Closing, Overflow, Park, no_slot
from .work import Work

LONGEST_SLEEP = 1.0
"""Seconds that a retry is slept in the process; a longer pause is spent on a retry rung."""

log = structlog.get_logger()


class Pipeline:
    """Carries deliveries to their end; knows nothing of channels and acks."""

    def __init__(
        self,
        *,
        opener: Opener,
        tries: Tries,
        endings: Endings,
        policy: RetryPolicy,
        metrics: Metrics,
        overflow: Mover,
    ) -> None:
        self._opener = opener
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
        finally:
            ended.set_result(done)
            if self._in_hand.get(key) is ended:
                del self._in_hand[key]
        return done

    async def end_defect(self, delivery: Delivery, alias: str) -> None:
        """End a delivery whose processing broke down, so that it does not come back for ever."""
        error = Refused(ErrorType.INTERNAL, "a defect in the gateway", outcome=Outcome.UNKNOWN)
        await self._end_unopened(delivery, alias, error)

    async def _carry(self, work: Work) -> bool:
        if work.delivery.redelivered and not work.job.redeliverable:
            unsafe = redelivered_unsafe(work.job)
            ending = finish(unsafe, has_reply_to=work.has_reply_to)
            await self._endings.of_work(work, ending, None)
            return True
        if work.lane == "interactive":
            self._overflow.make_way()
        while True:
            try:
                ended = await self._try(work)
            except (Overflow, Park) as elsewhere:
                if await self._wait_elsewhere(work, elsewhere):
                    return True
                ended = Ended(None, no_slot(max(0.0, elsewhere.not_before - time.time())))
            except Closing:
                return await self._give_back(work)
            passed = self._opener.pass_on(work, ended)
            if passed is None:
                continue
            ended = passed
            decision = settle(
                ended.error, work.job, time.time(), self._policy, has_reply_to=work.has_reply_to
            )
            if isinstance(decision, Finish):
                await self._opener.end(work, decision.error)
                await self._endings.of_work(work, decision, ended.answer)
                return True
            rung = rung_after(decision.delay)
            # A rung that outlasts the deadline would make the answer late.
            if decision.delay > LONGEST_SLEEP and time.time() + rung < work.job.deadline:
                await self._send_later(work, rung, "retry")
                return True
            await asyncio.sleep(decision.delay)
            self._opener.choose_again(work)

    async def _try(self, work: Work) -> Ended:
        try:
            await self._opener.claim(work)
        except GatewayError as error:
            return Ended(None, error)
        return await self._tries.make(work)

    async def _wait_elsewhere(self, work: Work, why: Overflow | Park) -> bool:
        """Have the call wait in the broker; False where it would come back too late from there."""
        if isinstance(why, Overflow):
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
            return False
        # Back in its queue it would be redelivered, and look as if it had been started.
        await self._send_later(work, rung_after(0), "drain")
        return True

    async def _send_later(
        self, work: Work, rung: int, why: str, *, not_before: float = 0.0
    ) -> None:
        job, delivery = work.job, work.delivery
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
