"""A line of a thousand before one bucket, with the limiter on a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from consumers.scheduler import Scheduler
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant
from gateway.limits.limiter import Limiter
from gateway.metrics import Metrics
from gateway.redis_client import connect
from schemas.apis import Window
from tests.support.lines import ended, job, start

FAST = Bucket("fast", (Window(200, 1),), name="fast")


class Counted:
    """The limiter, and how often it was asked."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.asked = 0
        self.release = limiter.release

    @property
    def live_processes(self) -> int:
        return self.limiter.live_processes

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        self.asked += 1
        return await self.limiter.acquire(asks)


@pytest.fixture
async def limiter(redis_url: str) -> AsyncIterator[Counted]:
    async with connect(redis_url) as client:
        await client.flushdb()
        limiter = Limiter(client, Metrics(), settle_seconds=0.0)
        await limiter.start()
        yield Counted(limiter)
        await limiter.close()


async def used(line: Scheduler, call: Job, producer: str | None = None) -> tuple[float, str | None]:
    """Take a turn, and say when it held and whose it was."""
    turn = await line.turn(call, "bulk", producer=producer)
    line.finished(call, turn)
    return turn.permit_at, producer


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(end - seconds < at <= end for at in times) for end in times)


async def test_a_thousand_waiters_ask_together_and_keep_the_limit(limiter: Counted) -> None:
    line = Scheduler(limiter, cap=1000)
    began = time.monotonic()
    tasks = [asyncio.create_task(used(line, job(FAST), f"p{n % 7}")) for n in range(1000)]
    times = sorted(at for at, _ in await asyncio.gather(*tasks))
    seconds = time.monotonic() - began
    print(f"{limiter.asked} questions for 1000 permits in {seconds:.2f} s")
    # The first 200 go at once, and the last 200 after four windows and their margins.
    assert 4.0 <= seconds < 6.5
    assert most_within(times, 1.0) <= 200
    assert limiter.asked <= 100
    assert not line._lines


async def test_the_limit_is_used_up_to_the_last_permit(limiter: Counted) -> None:
    line = Scheduler(limiter, cap=1000)
    even = Bucket("even", (Window(20, 1),))
    began = time.monotonic()
    tasks = [asyncio.create_task(used(line, job(even))) for _ in range(60)]
    times = sorted(at - began for at, _ in await asyncio.gather(*tasks))
    assert most_within(times, 1.0) <= 20
    # Two windows and two margins of a tenth, and little more.
    assert times[-1] < 2.5
    assert limiter.asked <= 40


async def test_producers_share_a_real_bucket_evenly(limiter: Counted) -> None:
    line = Scheduler(limiter, cap=1000)
    heavy = [asyncio.create_task(used(line, job(FAST), "heavy")) for _ in range(900)]
    await asyncio.sleep(0.3)
    light = [asyncio.create_task(used(line, job(FAST), f"light{n}")) for n in range(9)]
    began = time.monotonic()
    times = [at - began for at, _ in await asyncio.gather(*light)]
    # 200 of the heavy one's are gone; all the light ones go with the next permits there are.
    assert max(times) < 1.2
    assert sum(task.done() for task in heavy) < 500
    for task in heavy:
        task.cancel()
    await ended(heavy)


async def test_places_are_given_back_and_taken_again(limiter: Counted) -> None:
    line = Scheduler(limiter, cap=100)
    serial = Bucket("serial", (), at_once=1, name="table")
    running = most = 0

    async def carry(call: Job) -> None:
        nonlocal running, most
        turn = await line.turn(call, "bulk")
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        line.finished(call, turn)

    began = time.monotonic()
    await asyncio.gather(*(carry(job(FAST, serial)) for _ in range(20)))
    assert most == 1
    assert time.monotonic() - began < 3
    assert limiter.asked <= 100


async def test_interactive_calls_pass_a_thousand_bulk_calls(limiter: Counted) -> None:
    line = Scheduler(limiter, cap=2000)
    bulk = [start(line, job(FAST)) for _ in range(1000)]
    waits = []
    for _ in range(10):
        await asyncio.sleep(0.1)
        waits.append((await line.turn(job(FAST), "interactive")).waited)
    print(f"interactive waits: {max(waits):.3f} s at most")
    for task in bulk:
        task.cancel()
    await ended(bulk)
    assert max(waits) < 1.2
    assert sorted(waits)[4] < 0.1
