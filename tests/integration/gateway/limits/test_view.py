"""What operators see is what the limiter counts, and looking changes nothing."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from gateway.limits.limiter import Limiter
from gateway.limits.store import StoreAwayError
from gateway.limits.told import Told
from gateway.limits.view import LimitView, Seen, Use
from gateway.redis_client import connect
from schemas.apis import Window
from tests.integration.gateway.limits.support import MakeLimiter

API = Bucket("default||POST /x", (Window(100, 60), Window(10, 1)), name="POST /x")
TABLE = Bucket("table:cloud|t1", (), at_once=1, name="table")


async def take(limiter: Limiter, want: int, *buckets: Bucket, holder: str = "") -> None:
    [grant] = await limiter.acquire([Ask(buckets, want, holder=holder)])
    assert grant.granted == want


async def look(store: Redis, bucket: Bucket) -> Seen:
    view = LimitView(store)
    epoch = await view.epoch()
    assert epoch is not None
    [seen] = await view.look([bucket], epoch)
    return seen


async def test_used_permits_count_in_every_window(make_limiter: MakeLimiter, store: Redis) -> None:
    one, other = await make_limiter(), await make_limiter()
    await take(one, 6, API)
    await asyncio.sleep(1.4)
    await take(other, 3, API)
    seen = await look(store, API)
    assert seen.windows == (Use(100, 9), Use(10, 3))
    assert (seen.interactive, seen.is_idle, seen.paused_for) == (True, False, 0.0)
    assert await LimitView(store).processes() == 2


async def test_a_pause_and_what_it_taught(make_limiter: MakeLimiter, store: Redis) -> None:
    limiter = await make_limiter()
    await take(limiter, 2, API)
    await limiter.rejected(API, 30.0, time.monotonic())
    seen = await look(store, API)
    assert 29 < seen.paused_for <= 30
    assert seen.factor == pytest.approx(0.8)
    # Ten steps of two in the hundred, one for each clean minute.
    assert 595 < seen.factor_for <= 600
    assert seen.windows == (Use(80, 2), Use(8, 2))


async def test_a_margin_that_was_learnt(make_limiter: MakeLimiter, store: Redis) -> None:
    limiter = await make_limiter()
    await take(limiter, 10, API)
    await limiter.rejected(API, 1.0, time.monotonic())
    seen = await look(store, API)
    assert (seen.factor, seen.factor_for) == (1.0, 0.0)
    assert seen.extra_margin == pytest.approx(0.025, abs=0.001)
    assert seen.forgotten_in > 3600


async def test_calls_under_way_take_places(make_limiter: MakeLimiter, store: Redis) -> None:
    limiter = await make_limiter()
    await take(limiter, 1, API, TABLE, holder="call-1")
    assert (await look(store, TABLE)).under_way == 1
    view = LimitView(store)
    assert await view.keys(await view.epoch() or 0) == [API.key, TABLE.key]
    limiter.release((API, TABLE), "call-1")
    while (await look(store, TABLE)).under_way:  # noqa: ASYNC110  Redis tells nobody
        await asyncio.sleep(0.01)
    assert (await look(store, TABLE)).is_idle


async def test_looking_changes_nothing(make_limiter: MakeLimiter, store: Redis) -> None:
    limiter = await make_limiter()
    await take(limiter, 4, API)
    await limiter.rejected(API, 5.0, time.monotonic())
    await limiter.close()
    before = {key: await store.dump(key) for key in await store.keys()}
    view = LimitView(store)
    await view.look([API, TABLE], await view.epoch() or 0)
    await view.fleet()
    assert {key: await store.dump(key) for key in await store.keys()} == before


async def test_a_bucket_with_strange_keys_is_left_out(
    make_limiter: MakeLimiter, store: Redis
) -> None:
    await make_limiter()
    view = LimitView(store)
    epoch = await view.epoch() or 0
    await store.set(f"{{lark:limits}}:log:{epoch}:{API.key}", "nonsense")
    assert await view.look([API], epoch) == []


async def test_what_processes_tell_is_added_up_and_goes_with_them(store: Redis) -> None:
    one, other, view = Told(store), Told(store), LimitView(store)
    await one.tell({(API, "bulk"): 3, (API, "interactive"): 1}, "redis", {(API.key, "bulk"): 7.0})
    oldest = {(API.key, "bulk"): 9.0}
    await other.tell({(API, "bulk"): 4, (TABLE, "bulk"): 1}, "local", oldest)
    fleet = await view.fleet()
    assert fleet.modes == {"redis": 1, "local": 1}
    assert fleet.waiting[API.key, "bulk"] == 7
    assert fleet.waiting[API.key, "interactive"] == 1
    assert fleet.oldest == {(API.key, "bulk"): 9.0}
    await one.tell({}, "redis")
    assert (await view.fleet()).waiting[API.key, "bulk"] == 4
    await other.close()
    fleet = await view.fleet()
    assert (fleet.modes, fleet.waiting) == ({"redis": 1}, {})
    [key] = await store.keys("{lark:limits}:waiting:*")
    assert 0 < await store.pttl(key) <= 6000


async def test_of_very_many_buckets_the_fullest_are_told(store: Redis) -> None:
    held = {(Bucket(f"chat:{n}", ()), "bulk"): n for n in range(1, 2001)}
    await Told(store).tell(held, "redis")
    waiting = (await LimitView(store).fleet()).waiting
    assert len(waiting) == 500
    assert waiting["chat:2000", "bulk"] == 2000


async def test_without_redis_telling_is_silent_and_looking_says_so() -> None:
    async with connect("redis://127.0.0.1:1/0") as nobody:
        await Told(nobody).tell({(API, "bulk"): 1}, "local")
        with pytest.raises(StoreAwayError):
            await LimitView(nobody).epoch()
