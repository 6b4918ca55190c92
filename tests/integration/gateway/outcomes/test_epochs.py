"""What Redis forgets: emptied, restarted without its last second, a stale replica promoted."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.database import Database
from gateway.errors import NotNow
from gateway.outcomes.protocol import Claim, InDoubt, Question, Running
from gateway.redis_client import connect
from sandbox.stack import Stack
from sandbox.stack.redis import Redis as Server
from tests.integration.gateway.outcomes.support import K, Member, end, member, question, records_of

Forget = Callable[[], Awaitable[None]]


@pytest.fixture
async def pair(redis: Redis, database: Database) -> tuple[Member, Member]:
    """Two processes that share one Redis."""
    members = member("redis", redis, database), member("redis", redis, database)
    for one in members:
        await one.keeper.beat()
    return members


async def claimed(one: Member, asked: Question) -> Claim:
    answer = await one.records.claim(asked)
    assert isinstance(answer, Claim), answer
    return answer


async def answers(redis: Redis) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await redis.ping()
            except (RedisError, OSError):
                await asyncio.sleep(0.02)
            else:
                return


async def arrives(replica: Redis, key: bytes) -> None:
    async with asyncio.timeout(20):
        while True:
            if await replica.exists(key):
                return
            await asyncio.sleep(0.02)


@pytest.fixture(params=["restarted", "emptied", "scripts gone and another server"])
def forget(request: pytest.FixtureRequest, redis: Redis, idle_stack: Stack) -> Forget:
    """Have Redis begin another life; its records stay unless it is emptied."""

    async def restart() -> None:
        idle_stack.redis.kill()
        await asyncio.to_thread(idle_stack.redis.start)
        await answers(redis)

    async def empty() -> None:
        await redis.flushall()

    async def another() -> None:
        [epoch] = [key async for key in redis.scan_iter("*:epoch")]
        name = (await records_of(redis))[epoch][:16]
        await redis.set(epoch, name + b" " + secrets.token_hex(20).encode() + b" 0")
        await redis.script_flush()

    return {"restarted": restart, "emptied": empty}.get(request.param, another)


async def test_a_start_that_redis_forgot_is_in_doubt(
    redis: Redis, pair: tuple[Member, Member], forget: Forget
) -> None:
    zombie, other = pair
    started, unstarted, keyed = question(), question(), question(klass=K)
    claims = [await claimed(zombie, asked) for asked in (started, unstarted, keyed)]
    before = await records_of(redis)
    await zombie.records.begin(claims[0])
    await zombie.die()
    await forget()
    for key, value in before.items():
        if await redis.exists(key) and not key.endswith(b":epoch"):
            await redis.set(key, value, ex=60)
    for asked in (started, unstarted):
        again = question(asked.call_id, redelivered=True)
        assert isinstance(await other.records.claim(again), InDoubt)
    await claimed(other, question(keyed.call_id, K, redelivered=True))


async def test_calls_that_wait_their_turn_are_started_in_the_next_life(
    redis: Redis, pair: tuple[Member, Member], forget: Forget
) -> None:
    one, other = pair
    claim = await claimed(one, question())
    await forget()
    await one.keeper.beat()
    await other.keeper.beat()
    await one.records.begin(claim)
    await one.records.complete(claim, end())
    assert await other.records.claim(claim.question) == end()


async def test_a_take_over_that_redis_forgot_keeps_the_zombie_from_starting(
    redis: Redis, pair: tuple[Member, Member], forget: Forget
) -> None:
    zombie, other = pair
    claim = await claimed(zombie, question())
    before = await records_of(redis)
    await zombie.die()
    taken = await claimed(other, question(claim.question.call_id, redelivered=True))
    await other.records.begin(taken)
    await forget()
    for key, value in before.items():
        if not key.endswith(b":epoch"):
            await redis.set(key, value, ex=60)
    # It slept for longer than its lease.
    zombie.store._renewed_at = 0.0  # type: ignore[attr-defined]
    await zombie.keeper.beat()
    with pytest.raises(NotNow) as lost:
        await zombie.records.begin(claim)
    assert lost.value.retry_after == 0


async def test_a_duplicate_finds_what_is_started_in_the_next_life_too(
    redis: Redis, pair: tuple[Member, Member], forget: Forget
) -> None:
    one, other = pair
    claim = await claimed(one, question())
    await one.records.begin(claim)
    await forget()
    await one.keeper.beat()
    assert isinstance(await other.records.claim(claim.question), Running)


async def test_an_emptied_redis_is_noticed_by_the_next_command(
    redis: Redis, pair: tuple[Member, Member]
) -> None:
    one, other = pair
    for number in range(20):
        claim = await claimed(one, question())
        await redis.flushdb()
        if number % 2:
            _, epoch = await other.store.claim(question(), doubtful=False)
            assert epoch != claim.epoch
        await one.records.begin(claim)
        await one.die()
        again = question(claim.question.call_id, redelivered=True)
        assert isinstance(await other.records.claim(again), InDoubt)
        await one.keeper.beat()


async def test_scripts_that_are_gone_alone_change_nothing(
    redis: Redis, pair: tuple[Member, Member]
) -> None:
    one, other = pair
    claim = await claimed(one, question())
    await redis.script_flush()
    await one.die()
    taken = await claimed(other, question(claim.question.call_id, redelivered=True))
    assert taken.epoch == claim.epoch


async def test_junk_in_our_keys_counts_as_missing(
    redis: Redis, pair: tuple[Member, Member]
) -> None:
    one, other = pair
    asked = question()
    await claimed(one, asked)
    [key] = [key async for key in redis.scan_iter(f"*{asked.call_id}*")]
    await one.die()
    for klass, junk in ((K, "junk"), (K, None)):
        await redis.delete(key)
        if junk is not None:
            await redis.set(key, junk)
        else:
            await redis.hset(key, "field", "junk")
        again = question(asked.call_id, klass, redelivered=True)
        claim = await claimed(other, again)
        await other.records.hand_back(claim, remember=False)
    await redis.set(key, "junk")
    again = question(asked.call_id, redelivered=True)
    assert isinstance(await other.records.claim(again), InDoubt)


async def test_a_stale_replica_that_is_promoted_is_another_life(
    redis: Redis, redis_url: str, database: Database, idle_stack: Stack, tmp_path: Path
) -> None:
    primary = idle_stack.redis
    server = Server(tmp_path, primary.password, lambda: None)
    await asyncio.to_thread(server.start)
    try:
        number = redis_url.rpartition("/")[2]
        async with connect(f"{server.url.rpartition('/')[0]}/{number}") as replica:
            zombie, other = member("redis", redis, database), member("redis", replica, database)
            await zombie.keeper.beat()
            await replica.config_set("masterauth", primary.password)
            await replica.replicaof("127.0.0.1", primary.port)
            claim = await claimed(zombie, question())
            [key] = [key async for key in redis.scan_iter(f"*{claim.question.call_id}*")]
            await arrives(replica, key)
            await replica.replicaof("NO", "ONE")
            await zombie.records.begin(claim)
            await zombie.die()
            again = question(claim.question.call_id, redelivered=True)
            assert isinstance(await other.records.claim(again), InDoubt)
    finally:
        await asyncio.to_thread(server.stop)


@pytest.fixture(autouse=True)
async def _running(idle_stack: Stack, redis: Redis) -> AsyncIterator[None]:
    yield
    await asyncio.to_thread(idle_stack.start, "redis")
