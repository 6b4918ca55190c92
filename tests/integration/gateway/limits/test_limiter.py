"""Several limiters on one Redis: together they keep every limit, and lose nothing of it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.limits.grant import Grant
from gateway.metrics import Metrics
from tests.integration.gateway.limits.support import MakeLimiter, Traffic, bucket, refuse, take

ROOT = Path(__file__).resolve().parents[4]
PERMITS = "lark_service_limit_permits_total"
CLAIMS = Path(__file__).with_name("claims.py")


async def test_what_is_asked_for_is_granted_as_far_as_there_is_room(
    make_limiter: MakeLimiter,
) -> None:
    one, other = await make_limiter(), await make_limiter()
    here = bucket("10/1")
    assert await take(one, here, 3) == Grant(3, 0.0, 0.0, "")
    await asyncio.sleep(0.3)
    grant = await take(other, here, 12)
    assert (grant.granted, grant.reason) == (7, "window")
    assert 0.5 < grant.wait <= 0.8
    await asyncio.sleep(grant.wait)
    assert (await take(other, here, 12)).granted == 3


async def test_every_window_counts(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    here = bucket("8/5;5/1")
    assert (await take(limiter, here, 9)).granted == 5
    await asyncio.sleep(1.36)
    grant = await take(limiter, here, 9)
    assert grant.granted == 3
    assert 3 < grant.wait < 4


async def test_500_claims_of_four_limiters_get_exactly_the_limit(
    make_limiter: MakeLimiter,
) -> None:
    limiters = [await make_limiter() for _ in range(4)]
    here = bucket("80/60;50/1")
    for expected in (50, 30):
        grants = await asyncio.gather(
            *(take(limiters[number % 4], here, 1) for number in range(500))
        )
        assert sum(grant.granted for grant in grants) == expected
        await asyncio.sleep(1.4)


async def test_500_claims_of_four_processes_get_exactly_the_limit(
    redis_url: str, store: Redis
) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(CLAIMS), redis_url, "125"),
            env={"PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert await process.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    rounds = [[int(number) for number in out.split()] for out, _ in outputs]
    assert [sum(column) for column in zip(*rounds, strict=True)] == [50, 30]


async def test_saturated_limiters_use_all_of_a_limit_and_never_more(
    make_limiter: MakeLimiter,
) -> None:
    limiters = [await make_limiter() for _ in range(2)]
    traffic = Traffic()
    await asyncio.gather(
        *(traffic.saturate(limiter, bucket("50/1"), 4.4, want=8) for limiter in limiters)
    )
    assert traffic.most_within(1.0) <= 50
    assert traffic.total >= 0.95 * 50 * 4.4 / 1.1


async def test_buckets_do_not_share(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    assert (await take(limiter, bucket("5/1", "GET /a"), 5)).granted == 5
    assert (await take(limiter, bucket("5/1", "GET /b"), 5)).granted == 5
    assert (await take(limiter, bucket("5/1", "GET /a"), 1)).granted == 0


async def test_a_change_of_a_limit_counts_at_once(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    assert (await take(limiter, bucket("10/1"), 10)).granted == 10
    assert (await take(limiter, bucket("15/1"), 10)).granted == 5
    assert (await take(limiter, bucket("4/1"), 1)).granted == 0
    assert (await take(limiter, bucket("16/2"), 10)).granted == 1


async def test_a_pause_stops_the_bucket_everywhere_and_no_other(
    make_limiter: MakeLimiter,
) -> None:
    one, other = await make_limiter(), await make_limiter()
    here = bucket("10/1")
    await refuse(one, here, 0.4)
    for limiter in (one, other):
        grant = await take(limiter, here, 1)
        assert (grant.granted, grant.reason) == (0, "paused")
        assert 0.3 < grant.wait <= 0.4
    assert (await take(other, bucket("10/1", "GET /y"), 1)).granted == 1
    await asyncio.sleep(0.4)
    assert (await take(other, here, 1)).granted == 1


async def test_a_pause_is_never_shortened(make_limiter: MakeLimiter) -> None:
    one, other = await make_limiter(), await make_limiter()
    here = bucket("10/1")
    await refuse(one, here, 30)
    await refuse(other, here, 0.2)
    await asyncio.sleep(0.2)
    for limiter in (one, other, await make_limiter()):
        assert (await take(limiter, here, 1)).wait > 29


async def test_the_processes_alive_are_counted_and_one_that_leaves_is_not(
    make_limiter: MakeLimiter,
) -> None:
    one, other = await make_limiter(), await make_limiter()
    await one.beat()
    assert one.live_processes == 2
    await other.close()
    third = await make_limiter()
    assert third.live_processes == 2


async def test_a_first_start_on_an_empty_store_is_held_up_for_less_than_a_second(
    make_limiter: MakeLimiter,
) -> None:
    limiter = await make_limiter(settle_seconds=0.6)
    grant = await take(limiter, bucket("1000/60;50/1"), 50)
    assert (grant.granted, grant.reason) == (0, "settling")
    await asyncio.sleep(grant.wait)
    assert (await take(limiter, bucket("1000/60;50/1"), 50)).granted == 50
    later = await make_limiter(settle_seconds=0.6)
    assert (await take(later, bucket("5/1", "GET /y"), 5)).granted == 5


async def test_an_emptied_store_gives_no_window_its_limit_twice(
    make_limiter: MakeLimiter, store: Redis
) -> None:
    """Not even when one process took nearly all of it and another asks first."""
    greedy, quick = await make_limiter(0.6), await make_limiter(0.6)
    here = bucket("100/5;50/1")
    await asyncio.sleep(0.65)
    traffic = Traffic()
    tasks = [
        asyncio.create_task(traffic.saturate(greedy, here, 6, want=30)),
        asyncio.create_task(traffic.saturate(quick, here, 6, want=1)),
    ]
    for _ in range(3):
        await asyncio.sleep(1.7)
        await store.flushdb()
    await asyncio.gather(*tasks)
    assert traffic.most_within(1.0) <= 50
    assert traffic.most_within(5.0) <= 100
    assert traffic.total >= 100


async def test_an_emptied_store_is_told_of_every_pause(
    make_limiter: MakeLimiter, store: Redis
) -> None:
    one, other = await make_limiter(0.6), await make_limiter(0.6)
    here = bucket("50/1")
    await asyncio.sleep(0.65)
    await refuse(one, here, 5)
    await store.flushdb()
    await take(other, here, 1)
    await asyncio.sleep(0.65)
    grant = await take(other, here, 1)
    assert (grant.granted, grant.reason) == (0, "paused")


async def test_a_store_that_forgets_all_the_time_is_as_good_as_away(
    make_limiter: MakeLimiter, store: Redis
) -> None:
    limiter = await make_limiter(0.6)
    here = bucket("50/1")
    traffic = Traffic()
    task = asyncio.create_task(traffic.saturate(limiter, here, 5))
    for _ in range(24):
        await asyncio.sleep(0.2)
        await store.flushdb()
    await task
    assert traffic.total >= 10
    assert traffic.most_within(1.0) <= 50


@pytest.mark.parametrize("step", [2.0, -2.0])
async def test_a_step_of_a_clock_gives_no_window_its_limit_twice(
    make_limiter: MakeLimiter, step: float
) -> None:
    """Seen from a process, its own clock going one way is the store's going the other."""
    offset = 0.0
    limiter = await make_limiter(0.6, clock=lambda: time.monotonic() + offset)
    here = bucket("50/1")
    await asyncio.sleep(0.65)
    traffic = Traffic()
    task = asyncio.create_task(traffic.saturate(limiter, here, 4))
    await asyncio.sleep(1.5)
    offset = step
    assert (await take(limiter, here, 1)).reason in ("settling", "window")
    assert (await take(limiter, here, 1)).reason == "settling"
    await task
    assert traffic.most_within(1.0) <= 50
    assert traffic.total >= 100


async def test_a_log_that_is_ahead_of_the_clock_is_told_anew(
    make_limiter: MakeLimiter, store: Redis
) -> None:
    limiter = await make_limiter(0.6)
    here = bucket("50/5")
    await asyncio.sleep(0.65)
    assert (await take(limiter, here, 30)).granted == 30
    [log] = [key async for key in store.scan_iter("*:log:*")]
    await store.lset(log, 0, (int(time.time()) + 3600) * 1_000_000)  # type: ignore[misc]
    assert (await take(limiter, here, 1)).reason == "settling"
    await asyncio.sleep(0.65)
    assert (await take(limiter, here, 50)).granted == 20


async def test_it_counts_the_permits_it_grants(make_limiter: MakeLimiter) -> None:
    metrics = Metrics()
    limiter = await make_limiter(metrics=metrics)
    await take(limiter, bucket("10/1"), 3)
    await take(limiter, bucket("10/1"), 30)
    assert metrics.registry.get_sample_value(PERMITS, {"mode": "redis"}) == 10


async def _fence(store: Redis) -> bytes | None:
    [key] = [key async for key in store.scan_iter("*:fence")]
    value: bytes | None = await store.get(key)
    return value


@pytest.mark.parametrize("step", [0.5, -0.5])
async def test_a_process_without_calls_notices_a_step_of_the_stores_clock(
    make_limiter: MakeLimiter, store: Redis, step: float
) -> None:
    offset = 0.0
    limiter = await make_limiter(beat_seconds=60, clock=lambda: time.monotonic() + offset)
    before = await _fence(store)
    await limiter.beat()
    assert await _fence(store) == before
    offset = step
    await limiter.beat()
    assert await _fence(store) != before


async def test_the_first_call_that_finds_an_emptied_store_has_it_told_at_once(
    make_limiter: MakeLimiter, store: Redis
) -> None:
    limiter = await make_limiter(0.6, beat_seconds=60)
    await asyncio.sleep(0.65)
    assert (await take(limiter, bucket("50/5"), 30)).granted == 30
    await store.flushdb()
    assert (await take(limiter, bucket("5/1", "GET /y"), 1)).reason == "settling"
    assert [await store.llen(key) async for key in store.scan_iter("*:log:*")] == [4]  # type: ignore[misc]
