"""What stands before every try: is there a breaker, and is there time."""

from __future__ import annotations

import time

from schemas.reply import ErrorType

from .circuit import Sign, sign_of
from .circuits import CircuitOpen, Circuits
from .errors import Expired
from .executor import Ended, Executor
from .jobs import Job
from .latencies import Latencies
from .retry_budget import RetryBudgets

SHORTEST_TIMEOUT = 1.0
"""Seconds after which a missing answer says something of Feishu, and not of a short deadline."""


class Guard:
    """Carries out tries that may succeed, and learns from how they end."""

    def __init__(self, executor: Executor, circuits: Circuits, budgets: RetryBudgets) -> None:
        self._executor = executor
        self._circuits = circuits
        self._budgets = budgets
        self._latencies = Latencies()

    async def foresee(self, job: Job) -> None:
        """Raise Refused where no slot would help the call."""
        await self._executor.foresee(job)

    async def execute(self, job: Job) -> Ended:
        """Try once and say how it ended: CircuitOpen and Expired where it was not tried."""
        if late := self._too_late(job):
            return Ended(None, late)
        try:
            passage = self._circuits.enter(job)
        except CircuitOpen as held_back:
            return Ended(None, held_back)
        sign = Sign.NOTHING
        began = time.monotonic()
        try:
            ended = await self._executor.execute(job)
            sign = self._sign(job, ended, time.monotonic() - began)
        finally:
            self._circuits.left(passage, sign)
        if ended.error is None and job.tries == 1:
            self._budgets.earn(job.app)
        return ended

    def _too_late(self, job: Job) -> Expired | None:
        """What is said where the API would surely not answer in time."""
        job.needs = self._latencies.usual(job.route.name)
        left = job.deadline - time.time()
        if left >= job.needs:
            return None
        return Expired("what is left until the deadline is less than this API takes to answer")

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
