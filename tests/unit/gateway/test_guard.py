"""What is not tried at all, and what tries teach."""

from __future__ import annotations

import time
from typing import cast

import pytest

from gateway.circuits import CircuitOpen, Circuits
from gateway.errors import AttemptFailed, Cause, Expired, GatewayError, NotNow
from gateway.executor import Ended, Executor
from gateway.guard import Guard
from gateway.jobs import Job
from gateway.latencies import LEAST, Latencies
from gateway.metrics import Metrics
from gateway.retry import RetryPolicy
from gateway.retry_budget import RetryBudgets
from schemas.reply import ErrorType, Outcome
from tests.support.builders import APP, make_answer, make_job

OK = Ended(make_answer(200, {"code": 0}), None)


def failed(cause: Cause, type_: ErrorType = ErrorType.FEISHU_UNAVAILABLE) -> Ended:
    return Ended(None, AttemptFailed(type_, "x", cause=cause, outcome=Outcome.UNKNOWN))


class Site:
    """A guard before an executor whose tries end as they are told to."""

    def __init__(self, ended: Ended = OK) -> None:
        self.ended = ended
        self.tried = 0
        self.counts = True
        """Whether a try is an attempt."""
        self.metrics = Metrics()
        self.budgets = RetryBudgets(self.metrics)
        executor = cast(Executor, self)
        self.guard = Guard(executor, Circuits(self.metrics), self.budgets, RetryPolicy())

    async def execute(self, job: Job) -> Ended:
        self.tried += 1
        job.tries += self.counts
        return self.ended

    async def try_one(self, *, left: float = 60.0) -> GatewayError | None:
        return (await self.guard.execute(make_job(deadline=time.time() + left))).error

    def spend_all(self) -> None:
        while self.budgets.take(APP, "cut"):
            pass

    def left(self) -> float | None:
        """What the app's budget holds."""
        name = "lark_service_retry_budget"
        return self.metrics.registry.get_sample_value(name, {"app": "default"})

    async def is_open(self) -> bool:
        return isinstance(await self.try_one(), CircuitOpen)


async def test_nothing_is_tried_that_could_not_be_answered_in_time() -> None:
    site = Site(Ended(make_answer(200, {"code": 0}, seconds=3.0), None))
    assert isinstance(await site.try_one(left=LEAST - 0.05), Expired)
    assert await site.try_one(left=2.0) is None
    assert isinstance(await site.try_one(left=2.0), Expired)
    assert site.tried == 1


async def test_what_keeps_failing_is_not_tried() -> None:
    site = Site(failed(Cause.SERVER_ERROR))
    for _ in range(20):
        await site.try_one()
    assert await site.is_open()
    assert site.tried == 20


async def test_haste_is_no_failure_of_feishus() -> None:
    site = Site(failed(Cause.TIMEOUT, ErrorType.TIMEOUT))
    for _ in range(30):
        await site.try_one()
    assert not await site.is_open()


async def test_a_defect_frees_the_place_of_a_probe() -> None:
    site = Site()
    site.ended = cast(Ended, None)
    with pytest.raises(AttributeError):
        await site.try_one()
    site.ended = OK
    assert await site.try_one() is None


async def test_only_who_succeeds_at_the_first_try_pays_in() -> None:
    site = Site()
    assert site.budgets.take(APP, "cut")
    await site.guard.execute(make_job(tries=1, deadline=time.time() + 60))
    assert site.left() == 80
    await site.try_one()
    assert site.left() == 81


async def test_without_a_repeat_left_the_last_failure_is_said_again() -> None:
    site = Site(failed(Cause.TRUNCATED))
    job = make_job(deadline=time.time() + 60)
    first = await site.guard.execute(job)
    assert isinstance(first.error, AttemptFailed)
    assert first.error.affordable
    site.spend_all()
    again = await site.guard.execute(job)
    assert again.error is first.error
    assert not first.error.affordable
    assert (site.tried, job.tries) == (1, 1)
    # What fails now is told so at once, and may go on once others have succeeded.
    fresh = await site.guard.execute(make_job(deadline=time.time() + 60))
    assert isinstance(fresh.error, AttemptFailed)
    assert not fresh.error.affordable


async def test_a_copy_that_comes_back_without_a_repeat_left_waits_once_more() -> None:
    site = Site()
    site.spend_all()
    job = make_job(tries=2, attempts=2, deadline=time.time() + 60)
    put_off = (await site.guard.execute(job)).error
    assert isinstance(put_off, AttemptFailed)
    assert (put_off.affordable, site.tried, job.tries) == (False, 0, 2)


async def test_a_repeat_is_paid_for_once_however_often_a_limit_comes_between() -> None:
    site = Site(Ended(None, NotNow(ErrorType.RATE_LIMITED, "429", retry_after=1.0)))
    job = make_job(tries=1, deadline=time.time() + 60)
    site.counts = False
    for _ in range(5):
        await site.guard.execute(job)
    assert site.left() == 90


def test_what_is_usual_is_what_half_of_the_last_answers_took() -> None:
    latencies = Latencies()
    assert latencies.usual("GET /x") == LEAST
    for seconds in [9.0] * 31 + [0.1] * 15 + [1.0] * 16:
        latencies.add("GET /x", seconds)
    assert latencies.usual("GET /x") == 1.0
    assert latencies.usual("GET /y") == LEAST
