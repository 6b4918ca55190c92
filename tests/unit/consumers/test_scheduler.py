"""Lines before buckets: who gets a permit, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, cast

import pytest

from consumers.scheduler import BATCH, LONGEST_HOLD, Closing, Park, Scheduler
from gateway.errors import Expired, Refused
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Grant
from gateway.limits.limiter import Limiter
from schemas.apis import Window
from schemas.reply import ErrorType
from tests.support.builders import make_job
from tests.support.doled import Doled, full
from tests.support.waiting import eventually

SECOND = Bucket("second", (Window(1, 1),))
MINUTE = Bucket("minute", (Window(60, 60),))
MANY = Bucket("many", (Window(1000, 1),))


def scheduler(limiter: Doled, cap: int = 32) -> Scheduler:
    return Scheduler(cast(Limiter, limiter), cap=cap)


def job(bucket: Bucket = SECOND, *, left: float = 60.0, name: str = "c") -> Job:
    made = make_job(deadline=time.time() + left, call_id=name)
    made.buckets = (bucket,)
    return made


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_call_gets_its_permit_at_once_where_there_is_one() -> None:
    limiter = Doled()
    assert await scheduler(limiter).turn(job(), "bulk") < 0.1
    assert limiter.asked == [("second", 1)]


async def test_permits_are_asked_for_together_and_never_more_than_there_are_calls() -> None:
    limiter = Doled()
    limiter.open.clear()
    line = scheduler(limiter)
    tasks = [asyncio.create_task(line.turn(job(MANY), "bulk")) for _ in range(BATCH + 6)]
    await settled()
    limiter.open.set()
    await ended(tasks)
    assert limiter.asked == [("many", 1), ("many", BATCH), ("many", 5)] or limiter.asked == [
        ("many", BATCH),
        ("many", 6),
    ]


async def test_interactive_calls_go_before_bulk_calls() -> None:
    limiter, order = Doled(Grant(0, 0.0, 0.05, "window")), list[str]()
    line = scheduler(limiter)

    async def take(name: str, lane: Any) -> None:
        await line.turn(job(MANY), lane)
        order.append(name)

    lanes = [("b1", "bulk"), ("b2", "bulk"), ("i1", "interactive"), ("i2", "interactive")]
    tasks = []
    for name, lane in lanes:
        tasks.append(asyncio.create_task(take(name, lane)))
        await settled()
    await ended(tasks)
    assert order == ["i1", "i2", "b1", "b2"]


async def test_a_wait_is_spent_in_line_and_told() -> None:
    waited = await scheduler(Doled(full(0.08))).turn(job(), "bulk")
    assert 0.07 < waited < 1


async def test_a_call_that_can_get_no_slot_in_time_is_told_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        await scheduler(Doled(full(20.0))).turn(job(left=10.0), "interactive")
    assert time.monotonic() - began < 1
    assert refused.value.type is ErrorType.RATE_LIMITED
    assert refused.value.retry_after == pytest.approx(20.0, abs=0.5)


async def test_only_those_in_line_who_can_get_no_slot_in_time_are_told() -> None:
    line = scheduler(Doled(full(0.05)))
    tasks = [asyncio.create_task(line.turn(job(left=2.5), "bulk")) for _ in range(5)]
    results = await ended(tasks)
    assert [isinstance(result, Refused) for result in results] == [False] * 3 + [True] * 2


async def test_a_call_that_came_too_late_is_expired() -> None:
    limiter = Doled()
    with pytest.raises(Expired):
        await scheduler(limiter).turn(job(left=-1.0), "bulk")
    assert not limiter.asked


async def test_a_call_that_would_wait_too_long_is_parked_until_its_turn() -> None:
    began = time.time()
    with pytest.raises(Park) as park:
        await scheduler(Doled(full(LONGEST_HOLD + 5))).turn(job(left=60.0), "bulk")
    assert park.value.not_before == pytest.approx(began + LONGEST_HOLD + 5, abs=0.5)


async def test_above_the_cap_calls_of_a_full_bucket_are_parked_one_after_the_other() -> None:
    line = scheduler(Doled(full(10.0)), cap=2)
    held = [asyncio.create_task(line.turn(job(), "bulk")) for _ in range(2)]
    await settled()
    began, slots = time.time(), []
    for _ in range(3):
        with pytest.raises(Park) as park:
            await line.turn(job(), "bulk")
        slots.append(park.value.not_before - began)
    assert slots == [pytest.approx(10 + 2 + n, abs=0.5) for n in range(3)]
    line.close()
    await ended(held)


async def test_a_first_burst_keeps_no_more_than_the_cap_when_the_bucket_is_full() -> None:
    limiter = Doled(full(10.0))
    limiter.open.clear()
    line = scheduler(limiter, cap=2)
    began = time.time()
    tasks = [asyncio.create_task(line.turn(job(), "bulk")) for _ in range(5)]
    await settled()
    limiter.open.set()
    await eventually(lambda: sum(task.done() for task in tasks) == 3)
    line.close()
    ends = await ended(tasks)
    assert [type(end) for end in ends] == [Closing, Closing, Park, Park, Park]
    slots = [end.not_before - began for end in ends[2:]]
    assert slots == [pytest.approx(10 + 2 + n, abs=0.5) for n in range(3)]


async def test_whoever_comes_back_before_its_slot_keeps_it() -> None:
    line = scheduler(Doled(full(10.0)), cap=1)
    held = asyncio.create_task(line.turn(job(), "bulk"))
    await settled()
    booked = time.time() + 3.0
    with pytest.raises(Park) as park:
        await line.turn(job(), "bulk", not_before=booked)
    assert park.value.not_before == booked
    line.close()
    await ended([held])


@pytest.mark.parametrize(("bucket", "wait", "left"), [(MANY, 0.3, 0.9), (SECOND, 10.0, 10.5)])
async def test_a_call_that_would_be_parked_beyond_its_deadline_is_told_at_once(
    bucket: Bucket, wait: float, left: float
) -> None:
    line = scheduler(Doled(full(wait)), cap=1)
    held = asyncio.create_task(line.turn(job(bucket), "bulk"))
    await settled()
    with pytest.raises(Refused, match="no slot"):
        await line.turn(job(bucket, left=left), "bulk")
    line.close()
    await ended([held])


async def test_a_call_that_is_told_so_takes_no_slot_from_others() -> None:
    line = scheduler(Doled(full(10.0)), cap=1)
    held = asyncio.create_task(line.turn(job(), "bulk"))
    await settled()
    for _ in range(50):
        with pytest.raises(Refused):
            await line.turn(job(left=5.0), "bulk")
    began = time.time()
    with pytest.raises(Park) as park:
        await line.turn(job(), "bulk")
    assert park.value.not_before - began == pytest.approx(11.0, abs=0.5)
    line.close()
    await ended([held])


async def test_a_full_bucket_does_not_delay_another() -> None:
    limiter = Doled(full(10.0))
    line = scheduler(limiter)
    held = asyncio.create_task(line.turn(job(SECOND), "bulk"))
    await settled()
    assert await line.turn(job(MINUTE), "bulk") < 0.1
    line.close()
    assert isinstance((await ended([held]))[0], Closing)


async def test_closing_sends_everyone_home_and_admits_nobody() -> None:
    line = scheduler(Doled(full(10.0)))
    held = [asyncio.create_task(line.turn(job(), "bulk")) for _ in range(3)]
    await settled()
    line.close()
    assert [type(result) for result in await ended(held)] == [Closing] * 3
    with pytest.raises(Closing):
        await line.turn(job(), "bulk")


async def test_the_permit_of_a_call_that_left_goes_to_the_next() -> None:
    limiter = Doled(full(0.05), Grant(1, 0.0, 0.0, "window"))
    line = scheduler(limiter)
    gone, stays = (asyncio.create_task(line.turn(job(MANY), "bulk")) for _ in range(2))
    await settled()
    gone.cancel()
    assert await stays < 1
    assert isinstance((await ended([gone]))[0], asyncio.CancelledError)


async def test_the_permit_of_a_call_that_leaves_at_that_moment_goes_to_the_next() -> None:
    limiter = Doled(full(0.02), Grant(1, 0.0, 0.0, "window"))
    line = scheduler(limiter)
    gone, stays = (asyncio.create_task(line.turn(job(MANY), "bulk")) for _ in range(2))
    await settled()
    limiter.meanwhile = gone.cancel
    assert await stays < 1
    assert isinstance((await ended([gone]))[0], asyncio.CancelledError)


async def test_the_permit_of_a_call_that_expired_meanwhile_goes_to_the_next() -> None:
    limiter = Doled(Grant(1, 0.0, 0.0, ""), Grant(0, 0.0, 0.0, ""))
    limiter.open.clear()
    line = scheduler(limiter)
    late = asyncio.create_task(line.turn(job(MANY, left=0.05), "bulk"))
    stays = asyncio.create_task(line.turn(job(MANY), "bulk"))
    await asyncio.sleep(0.06)
    limiter.open.set()
    assert await stays < 1
    assert isinstance((await ended([late]))[0], Expired)


async def test_a_defect_of_the_limiter_reaches_its_callers_and_the_line_goes_on() -> None:
    limiter = Doled(RuntimeError("defect"))
    line = scheduler(limiter)
    with pytest.raises(RuntimeError, match="defect"):
        await line.turn(job(), "bulk")
    await eventually(lambda: not line._lines)
    assert await line.turn(job(), "bulk") < 0.1
