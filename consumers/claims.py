"""Gives a call id to one delivery at a time, and to all others how that one ended."""

from __future__ import annotations

import asyncio
import time

from gateway.catalogue import ApiClass
from gateway.errors import Expired, GatewayError
from gateway.outcomes.protocol import Claim, InDoubt, Outcomes, Question, Recorded, Running
from schemas.reply import ErrorType, Outcome

from .copies import rung_within
from .settlement import redelivered_unsafe
from .work import Work

PATIENCE_SECONDS = 1.0
"""How long a delivery waits in hand while another one of its call id is carried out."""
UNANSWERED_SECONDS, LEAST_UNANSWERED = 10.0, 0.75
"""How long a call in doubt waits for a store that may know how it ended, while none answers: until
its deadline, or a moment more, since its answer may be out and only the ack was lost."""
_ASK_AGAIN_SECONDS = 0.25
MISSED_SECONDS = 4.0
"""After so long a process that is gone is missed, and its calls are in doubt."""
LONGEST_RUNG = 60
"""Seconds on a retry rung after which it asks again, at the latest."""


class Occupied(Exception):
    """Another delivery of the same call is being carried out: ask again after *rung* seconds."""

    def __init__(self, rung: int) -> None:
        super().__init__(rung)
        self.rung = rung


class Claims:
    """Asks the records for the right to carry out a call, and tells them how it ended.

    A call whose end is not recorded costs nothing here.
    """

    def __init__(self, outcomes: Outcomes, *, most_waiting: int) -> None:
        self._outcomes = outcomes
        self._most_waiting = most_waiting
        self._waiting = 0

    async def take(self, work: Work) -> Recorded | None:
        """Claim the call for this delivery; returns how it ended, where it did.

        Raises Refused where it must not be carried out, Expired when the deadline comes before the
        end of the delivery that has it, and Occupied where that is to be waited for elsewhere.
        """
        job = work.job
        if job.claim is None and work.question is not None:
            recorded = await self._ask(work, work.question)
            if recorded is not None:
                return recorded
            if job.claim is not None and job.claim.known and not work.is_copy and job.redeliverable:
                # Of a copy it was we ourselves who made its content known.
                work.may_be_sent()
        # What the records hold of an N call says whether it was sent; of others they do not know.
        claimed = job.claim is not None and job.claim.question.klass is ApiClass.NEITHER
        if work.redelivered and not claimed and not job.redeliverable:
            raise redelivered_unsafe(job)
        return None

    async def of_expired(self, work: Work) -> Recorded | None:
        """How a call ended whose time ran out in its queue; None where it was surely not sent.

        Raises Refused where it may have been, by a process that is gone.
        """
        if work.question is None:
            return None
        found = await self._outcomes.claim(work.question)
        if isinstance(found, Running):
            await self._outcomes.ended(found, MISSED_SECONDS)
            found = await self._outcomes.claim(work.question)
        if isinstance(found, InDoubt):
            raise _in_doubt(work, found.claim)
        if isinstance(found, Claim):
            work.job.claim = found
        return found if isinstance(found, Recorded) else None

    async def end(self, work: Work, error: GatewayError | None, said: Recorded) -> Recorded:
        """Record how the call ended, where that is to be; returns what is to be said of it.

        That is something else than *said* where another delivery was faster.
        """
        job, claim = work.job, work.job.claim
        if claim is None:
            return said
        job.claim = None
        outcome = error.outcome if error else Outcome.EXECUTED
        unknown = outcome is Outcome.UNKNOWN
        doubted = error is not None and error.type is ErrorType.OUTCOME_UNKNOWN
        if outcome is Outcome.EXECUTED or doubted or (unknown and not job.harmless):
            return await self._outcomes.complete(claim, said)
        # Feishu would take another call with the same key for the same, and discard it.
        attempted = job.attempts > 0 or unknown or work.redelivered
        await self._outcomes.hand_back(claim, remember=job.klass is ApiClass.KEYED and attempted)
        return said

    async def hand_back(self, work: Work) -> None:
        """Leave the call to whoever takes up its copy: what was sent of it surely did nothing."""
        claim = work.job.claim
        if claim is None:
            return
        work.job.claim = None
        if claim.question.klass is ApiClass.NEITHER:
            work.is_unsent()
        await self._outcomes.hand_back(claim, remember=True)

    async def _ask(self, work: Work, question: Question) -> Recorded | None:
        asked = time.monotonic()
        patient_until, left = asked + PATIENCE_SECONDS, work.job.deadline - time.time()
        answerable_until = asked + max(LEAST_UNANSWERED, min(UNANSWERED_SECONDS, left))
        while True:
            found = await self._outcomes.claim(question)
            match found:
                case InDoubt(claim=claim) if not claim.written and _is_before(answerable_until):
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
                case Claim():
                    work.job.claim = found
                    return None
                case Recorded():
                    return found
                case InDoubt():
                    raise _in_doubt(work, found.claim)
                case Running():
                    await self._wait(work, found, patient_until - time.monotonic())

    async def _wait(self, work: Work, running: Running, patience: float) -> None:
        now = time.time()
        left = work.job.deadline - now
        if left <= 0:
            if work.redelivered and running.question.klass is ApiClass.NEITHER:
                # It may be this very message that was sent, by a process that is not missed yet.
                claim = Claim(running.question, owner="", written=True, started=True)
                raise _in_doubt(work, claim)
            raise Expired("the deadline passed while the call was carried out for the same call id")
        if patience <= 0 or self._waiting >= self._most_waiting:
            # The longer it lasts, the more rarely it is asked for.
            age = now - work.envelope.history.first_seen
            rung = rung_within(min(age / 2, left, LONGEST_RUNG))
            if rung < left:
                raise Occupied(rung)
            patience = left
        self._waiting += 1
        try:
            await self._outcomes.ended(running, min(patience, left))
        finally:
            self._waiting -= 1


def _is_before(end: float) -> bool:
    return time.monotonic() < end


def _in_doubt(work: Work, claim: Claim) -> GatewayError:
    # That it is in doubt is how it ends, and recorded like any other end.
    work.job.claim = claim
    return redelivered_unsafe(work.job)
