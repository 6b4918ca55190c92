"""What is not tried at all, and what tries teach."""

from __future__ import annotations

import time
from typing import cast

import pytest

from gateway.circuits import CircuitOpen, Circuits
from gateway.errors import AttemptFailed, Cause, Expired, GatewayError
from gateway.executor import Ended, Executor
from gateway.guard import Guard
from gateway.jobs import Job
from gateway.latencies import LEAST, Latencies
from gateway.metrics import Metrics
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
        self.metrics = Metrics()
        self.budgets = RetryBudgets(self.metrics)
        executor = cast(Executor, self)
        self.guard = Guard(executor, Circuits(self.metrics), self.budgets)

    async def execute(self, job: Job) -> Ended:
        self.tried += 1
        job.tries += 1
        return self.ended

    async def try_one(self, *, left: float = 60.0) -> GatewayError | None:
        return (await self.guard.execute(make_job(deadline=time.time() + left))).error

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
    job = make_job(tries=1, deadline=time.time() + 60)
    await site.guard.execute(job)
    left = "lark_service_retry_budget"
    assert site.metrics.registry.get_sample_value(left, {"app": "default"}) == 90
    await site.try_one()
    assert site.metrics.registry.get_sample_value(left, {"app": "default"}) == 91


def test_what_is_usual_is_what_half_of_the_last_answers_took() -> None:
    latencies = Latencies()
    assert latencies.usual("GET /x") == LEAST
    for seconds in [9.0] * 31 + [0.1] * 15 + [1.0] * 16:
        latencies.add("GET /x", seconds)
    assert latencies.usual("GET /x") == 1.0
    assert latencies.usual("GET /y") == LEAST
