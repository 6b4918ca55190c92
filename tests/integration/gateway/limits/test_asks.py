"""What one ask can say: several buckets, a lane, places; and what Feishu's answers change."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from schemas.apis import Window, parse_windows
from tests.integration.gateway.limits.support import MakeLimiter, bucket, refuse, take

API, CHAT = bucket("50/1", "POST /messages"), bucket("5/1", "chat")
TABLE = Bucket("table", (), at_once=1)


async def test_what_one_bucket_refuses_costs_the_others_nothing(make_limiter: MakeLimiter) -> None:
    one, other = await make_limiter(), await make_limiter()
    asks = [Ask((API, CHAT), 3), Ask((API, CHAT), 3), Ask((API, CHAT), 3), Ask((API,), 100)]
    grants = await one.acquire(asks)
    assert [grant.granted for grant in grants] == [3, 2, 0, 45]
    assert [grant.bucket for grant in grants] == [-1, 1, 1, 0]
    assert (await take(other, API, 1)).granted == 0


async def test_a_slot_that_is_near_is_booked_and_holds_from_then_on(
    make_limiter: MakeLimiter,
) -> None:
    limiter = await make_limiter()
    begun = time.monotonic()
    assert (await take(limiter, CHAT, 5)).granted == 5
    grant = await take(limiter, CHAT, 1)
    while not grant.granted:
        await asyncio.sleep(grant.wait)
        grant = await take(limiter, CHAT, 1)
    holds = time.monotonic() + grant.delay
    assert 0 < grant.delay <= 0.05
    assert 1.1 <= holds - begun < 1.15


async def test_bulk_leaves_room_while_interactive_calls_use_a_bucket(
    make_limiter: MakeLimiter,
) -> None:
    one, other = await make_limiter(), await make_limiter()
    assert (await take(one, API, 1)).granted == 1
    assert (await take(other, API, 100, "bulk")).granted == 39
    assert (await take(other, API, 1, "bulk")).granted == 0
    assert (await take(one, API, 100)).granted == 10
    alone = bucket("50/1", "GET /alone")
    assert (await take(other, alone, 100, "bulk")).granted == 50


async def test_places_are_shared_given_back_and_kept_while_a_call_is_under_way(
    make_limiter: MakeLimiter,
) -> None:
    one, other = await make_limiter(), await make_limiter()
    assert (await take(one, TABLE, 1, holder="first")).granted == 1
    grant = await take(other, TABLE, 1, holder="second")
    assert (grant.granted, grant.reason, grant.bucket) == (0, "busy", 0)
    assert 0 < grant.wait < 0.1
    await asyncio.sleep(5.5)
    assert (await take(other, TABLE, 1, holder="second")).reason == "busy"
    one.release((TABLE,), "first")
    await asyncio.sleep(0.1)
    assert (await take(other, TABLE, 1, holder="second")).granted == 1


async def test_a_place_is_kept_though_the_log_of_a_day_counts_by_the_minute(
    make_limiter: MakeLimiter,
) -> None:
    drive = Bucket("drive", (Window(10_000, 86_400),), at_once=1)
    one, other = await make_limiter(beat_seconds=60), await make_limiter()
    assert (await take(one, drive, 1, holder="first")).granted == 1
    assert (await take(other, drive, 1, holder="second")).reason == "busy"
    one.release((drive,), "first")
    await asyncio.sleep(0.1)
    assert (await take(other, drive, 1, holder="second")).granted == 1


async def test_the_place_of_a_process_that_died_is_free_after_its_lease(
    make_limiter: MakeLimiter,
) -> None:
    dead, other = await make_limiter(beat_seconds=60), await make_limiter()
    assert (await take(dead, TABLE, 1, holder="first")).granted == 1
    begun = time.monotonic()
    while not (await take(other, TABLE, 1, holder="second")).granted:  # noqa: ASYNC110
        await asyncio.sleep(0.025)
    assert 4.8 < time.monotonic() - begun < 5.5


async def test_after_a_pause_one_request_tests_whether_it_is_over(
    make_limiter: MakeLimiter,
) -> None:
    one, other = await make_limiter(), await make_limiter()
    await refuse(one, API, 0.3)
    await asyncio.sleep(0.31)
    assert (await take(other, API, 16)).granted == 1
    for limiter in (one, other):
        grant = await take(limiter, API, 16)
        assert (grant.granted, grant.reason) == (0, "paused")
    other.accepted((API,), time.monotonic() - 0.01)
    await asyncio.sleep(0.1)
    assert (await take(one, API, 16)).granted == 16


async def test_a_refused_canary_pauses_again(make_limiter: MakeLimiter) -> None:
    one, other = await make_limiter(), await make_limiter()
    await refuse(one, API, 0.2)
    await asyncio.sleep(0.21)
    assert (await take(other, API, 1)).granted == 1
    await refuse(other, API, 0.6)
    await asyncio.sleep(0.1)
    grant = await take(one, API, 1)
    assert (grant.granted, grant.reason) == (0, "paused")
    assert 0.3 < grant.wait <= 0.6


@pytest.mark.parametrize(("used", "left"), [(10, 30), (48, 2)])
async def test_a_refusal_teaches_a_smaller_limit_or_a_longer_margin(
    make_limiter: MakeLimiter, used: int, left: int
) -> None:
    """Somebody else spends of a limit that we had not used up: we take four fifths of it.

    Requests met on the way if we had: we take all of it, held 50 ms longer.
    """
    one, other = await make_limiter(), await make_limiter()
    here = bucket("50/30", "GET /learn")
    assert (await take(one, here, used)).granted == used
    await one.rejected(here, 0.05, time.monotonic())
    await one.rejected(here, 0.05, time.monotonic() - 0.01)
    await asyncio.sleep(0.06)
    canary = await take(other, here, 1)
    other.accepted((here,), time.monotonic())
    await asyncio.sleep(0.05)
    assert canary.granted + (await take(other, here, 100)).granted == left


async def test_margins_follow_how_long_requests_travel(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    for _ in range(30):
        grant = await take(limiter, API, 1)
        assert grant.granted == 1
        limiter.accepted((API,), time.monotonic() - 0.002)
    await limiter.beat()
    assert (await take(limiter, API, 100)).granted == 20
    begun, grant = time.monotonic(), await take(limiter, API, 1)
    while not grant.granted:
        await asyncio.sleep(grant.wait)
        grant = await take(limiter, API, 1)
    assert time.monotonic() + grant.delay - begun < 1.06


async def test_all_processes_take_the_longest_margin_that_one_asks_for(
    make_limiter: MakeLimiter,
) -> None:
    slow, quick = await make_limiter(), await make_limiter()
    for taken in (0.002, 0.06, *[0.03] * 30):
        slow.accepted((API,), time.monotonic() - taken)
        quick.accepted((API,), time.monotonic() - 0.002)
    for limiter in (quick, slow, quick):
        await limiter.beat()
    begun = time.monotonic()
    assert (await take(quick, CHAT, 5)).granted == 5
    grant = await take(quick, CHAT, 1)
    while not grant.granted:
        await asyncio.sleep(grant.wait)
        grant = await take(quick, CHAT, 1)
    assert 1.085 <= time.monotonic() + grant.delay - begun < 1.15
    await slow.close()
    await quick.beat()
    await asyncio.sleep(1.1)
    assert (await take(quick, CHAT, 5)).granted >= 4
    grant = await take(quick, CHAT, 5)
    assert grant.wait < 1.03


async def test_a_limit_of_a_day(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    day = Bucket("day", parse_windows("2/86400"))
    assert (await take(limiter, day, 5)).granted == 2
    grant = await take(limiter, day, 1)
    assert 86_300 < grant.wait < 86_500


async def test_who_just_came_books_nothing_before_who_was_told_to_wait(
    make_limiter: MakeLimiter,
) -> None:
    told, came = await make_limiter(), await make_limiter()
    assert (await take(told, CHAT, 5)).granted == 5
    grant = await take(told, CHAT, 5)
    assert not grant.granted
    await asyncio.sleep(grant.wait)
    assert not (await take(came, CHAT, 5)).granted
    grant = await take(told, CHAT, 3)
    assert grant.granted == 3
    assert 0 < grant.delay <= 0.05
