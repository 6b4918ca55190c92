"""What stands before every try: whether there is time, a breaker, and a repeat left for it."""

from __future__ import annotations

import time

from schemas.reply import ErrorType

from .circuit import Sign, sign_of
from .circuits import CircuitOpen, Circuits
from .errors import AttemptFailed, Expired, GatewayError
from .executor import Ended, Executor
from .jobs import Job, may_repeat
from .latencies import Latencies
from .retry import RetryPolicy
from .retry_budget import RetryBudgets

SHORTEST_TIMEOUT = 1.0
"""Seconds after which a missing answer says something of Feishu, and not of a short deadline."""


class Guard:
    """Carries out tries that may succeed, and learns from how they end."""

    def __init__(
        self, executor: Executor, circuits: Circuits, budgets: RetryBudgets, policy: RetryPolicy
    ) -> None:
        self._executor = executor
        self._circuits = circuits
        self._budgets = budgets
        self._policy = policy
        self._latencies = Latencies()

    async def foresee(self, job: Job) -> None:
        """Raise Refused where no slot would help the call."""
        await self._executor.foresee(job)

    async def execute(self, job: Job) -> Ended:
        """Try once and say how it ended; where it was not tried: CircuitOpen, Expired, or how the
        last try ended, if there is no repeat left.
        """
        job.needs = self._latencies.usual(job.route.name)
        if job.deadline - time.time() < job.needs:
            return Ended(None, _too_late())
        try:
            passage = self._circuits.enter(job)
        except CircuitOpen as held_back:
            return Ended(None, held_back)
        sign = Sign.NOTHING
        try:
            if not self._may_try(job):
                return Ended(*(job.failure or (None, _put_off())))
            began = time.monotonic()
            ended = await self._executor.execute(job)
            sign = self._sign(job, ended, time.monotonic() - began)
        finally:
            self._circuits.left(passage, sign)
        self._account(job, ended)
        return ended

    def _may_try(self, job: Job) -> bool:
        """Ask for a repeat, once for each; waiting for a limit in between costs no other."""
        if job.tries <= job.paid:
            return True
        error = job.failure[1] if job.failure else None
        if not self._budgets.take(job.app, _why(error) if error else "delayed"):
            if isinstance(error, AttemptFailed):
                error.affordable = False
            return False
        job.paid = job.tries
        return True

    def _account(self, job: Job, ended: Ended) -> None:
        error = ended.error
        if error is None and job.tries == 1:
            self._budgets.earn(job.app)
        if isinstance(error, AttemptFailed):
            job.failure = (ended.answer, error)
            if may_repeat(job, error, self._policy):
                error.affordable = self._budgets.has_any(job.app, _why(error))

    def _sign(self, job: Job, ended: Ended, seconds: float) -> Sign:
        answer, error = ended.answer, ended.error
        sign = sign_of(error, answered=answer is not None)
        if answer is not None and sign is Sign.HEALTHY:
            self._latencies.add(job.route.name, answer.seconds)
        if error is not None and error.type is ErrorType.TIMEOUT:
            # Cut short by its own deadline it would tell of the producer's haste.
            patience = max(SHORTEST_TIMEOUT, 4 * self._latencies.usual(job.route.name))
            return sign if seconds >= patience else Sign.NOTHING
        return sign


def _why(error: GatewayError) -> str:
    cause = error.cause if isinstance(error, AttemptFailed) else None
    return cause.value if cause else "token"


def _too_late() -> GatewayError:
    return Expired("what is left until the deadline is less than this API takes to answer")


def _put_off() -> GatewayError:
    """Of a copy that comes back for its repeat nobody knows any more how it failed."""
    error = AttemptFailed(
        ErrorType.FEISHU_UNAVAILABLE, "an attempt failed, and so do too many to repeat it now"
    )
    error.affordable = False
    return error
