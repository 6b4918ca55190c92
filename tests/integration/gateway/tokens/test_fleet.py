from __future__ import annotations

import asyncio
import secrets
import time

import asyncpg
import pytest
from redis.asyncio import Redis

from gateway.errors import Refused
from tests.support.waiting import eventually

from .conftest import Simulated, StartProcess, kept, many_calls


async def test_processes_that_start_cold_together_cost_one_token_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = [await start_process() for _ in range(4)]
    feishu.server.world.latency_ms = 200
    tokens = await asyncio.gather(
        *(process.pool.get(feishu.app) for process in processes for _ in range(50))
    )
    assert len({token.value for token in tokens}) == 1
    assert feishu.token_requests == 1


async def test_a_token_revoked_amid_the_calls_of_two_processes_costs_one_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = [await start_process() for _ in range(2)]
    await asyncio.gather(*(process.pool.get(feishu.app) for process in processes))
    feishu.server.world.latency_ms = 20
    calls = asyncio.create_task(many_calls(processes, feishu, 32))
    await asyncio.sleep(0.05)
    feishu.server.world.tokens.revoke()
    await calls
    assert feishu.token_requests == 2


async def test_tokens_revoked_again_and_again_reach_no_caller(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = [await start_process() for _ in range(2)]
    calls = asyncio.create_task(many_calls(processes, feishu, 150))
    revocations = 0
    while not calls.done():
        # A new token is in use before it is revoked too, however busy the machine is.
        enough = feishu.accepted + 1500
        await eventually(lambda: calls.done() or feishu.accepted >= enough, within=60)  # noqa: B023
        revocations += feishu.server.world.tokens.revoke()
    await calls
    assert revocations > 3
    assert feishu.token_requests <= 1 + 2 * revocations


async def test_a_wrong_secret_costs_the_fleet_one_token_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = [await start_process() for _ in range(3)]
    feishu.server.world.latency_ms = 50
    results = await asyncio.gather(
        *(process.pool.get(feishu.wrong_app) for process in processes for _ in range(30)),
        return_exceptions=True,
    )
    assert {type(result) for result in results} == {Refused}
    assert feishu.token_requests == 1


async def test_the_processes_renew_together_once(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = [await start_process() for _ in range(3)]
    feishu.server.world.tokens.life = 3
    first = await processes[0].pool.get(feishu.app)
    while time.monotonic() < first.expires_at + 1:
        for process in processes:
            assert feishu.accepts((await process.pool.get(feishu.app)).value)
        await asyncio.sleep(0.005)
    refreshes = sum(
        process.metrics.token_refreshes.labels("default", "ok")._value.get()
        for process in processes
    )
    # Renewed between a third and five sixths of three seconds before its end; the last request may
    # still be under way.
    assert 2 <= refreshes <= feishu.token_requests <= min(9, refreshes + 1)


async def test_a_process_that_starts_later_takes_the_token_from_redis(
    feishu: Simulated, start_process: StartProcess
) -> None:
    first = await (await start_process()).pool.get(feishu.app)
    later = await (await start_process(postgres="postgresql://127.0.0.1:1/none")).pool.get(
        feishu.app
    )
    assert later == first
    assert abs(later.expires_at - first.expires_at) < 0.3
    assert feishu.token_requests == 1


async def test_an_emptied_redis_is_filled_from_postgres(
    feishu: Simulated, start_process: StartProcess, redis_url: str
) -> None:
    first = await start_process()
    token = await first.pool.get(feishu.app)
    await kept(first, token)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
    second = await start_process()
    assert await second.pool.get(feishu.app) == token
    assert (await second.redis.look(feishu.credential)).token == token
    assert feishu.token_requests == 1


async def test_a_stale_token_in_postgres_does_not_come_back(
    feishu: Simulated, start_process: StartProcess, migrated_url: str
) -> None:
    process = await start_process()
    stale = await process.pool.get(feishu.app)
    await kept(process, stale)
    feishu.server.world.tokens.revoke()
    connection = await asyncpg.connect(migrated_url)
    async with connection.transaction():
        # Others may read, but the rejected token cannot be deleted.
        await connection.execute("LOCK TABLE tokens IN SHARE MODE")
        await process.pool.rejected(stale)
        assert await process.pool.get(feishu.app) != stale
        assert (await process.postgres.look(feishu.credential)).token == stale
    await connection.close()


async def test_a_row_that_somebody_locks_holds_up_no_other_token_and_no_look(
    feishu: Simulated, start_process: StartProcess, migrated_url: str
) -> None:
    process = await start_process()
    stale = await process.pool.get(feishu.app)
    await kept(process, stale)
    feishu.server.world.tokens.revoke()
    connection = await asyncpg.connect(migrated_url)
    async with connection.transaction():
        await connection.execute("SELECT * FROM tokens FOR UPDATE")
        await process.pool.rejected(stale)
        await process.pool.get(feishu.app)
        # Longer than a write may wait for the lock, so that it is put off.
        await asyncio.sleep(1.5)
        for app in feishu.more_apps(3):
            await kept(process, await process.pool.get(app))
    await connection.close()


async def test_another_process_that_finds_the_stale_token_repeats_once(
    feishu: Simulated, start_process: StartProcess, redis_url: str
) -> None:
    first, second = await start_process(), await start_process()
    stale = await first.pool.get(feishu.app)
    await kept(first, stale)
    feishu.server.world.tokens.revoke()
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
    assert await second.pool.get(feishu.app) == stale
    await second.pool.rejected(stale)
    fresh = await second.pool.get(feishu.app)
    assert feishu.accepts(fresh.value)
    await kept(second, fresh)
    assert feishu.token_requests == 2


async def test_a_rejected_token_leaves_redis_and_postgres(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    token = await process.pool.get(feishu.app)
    await kept(process, token)
    await process.pool.rejected(token)
    assert (await process.redis.look(feishu.credential)).token is None
    for _ in range(1000):
        if (await process.postgres.look(feishu.credential)).token is None:
            break
        await asyncio.sleep(0.005)
    else:
        pytest.fail("the rejected token stays in Postgres")


async def test_a_lock_holder_that_died_holds_the_others_up_until_its_lock_ends(
    feishu: Simulated, start_process: StartProcess, redis_url: str
) -> None:
    process = await start_process()
    assert await process.redis.lock(feishu.credential, secrets.token_hex(8))
    async with Redis.from_url(redis_url) as redis:
        [key] = [key async for key in redis.scan_iter("*:lock")]
        assert 9_000 < await redis.pttl(key) <= 10_000
        await redis.pexpire(key, 500)
    started = time.monotonic()
    await process.pool.get(feishu.app)
    assert 0.4 < time.monotonic() - started < 1.5


async def test_a_waiting_process_takes_the_lock_when_the_holder_fails_to_share(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    owner = secrets.token_hex(8)
    assert await process.redis.lock(feishu.credential, owner)
    waiting = asyncio.create_task(process.pool.get(feishu.app))
    await asyncio.sleep(0.2)
    assert feishu.token_requests == 0
    await process.redis.unlock(feishu.credential, owner)
    await asyncio.wait_for(waiting, 1)
    assert feishu.token_requests == 1


async def test_the_lock_of_another_is_not_given_back(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    assert await process.redis.lock(feishu.credential, "first")
    await process.redis.unlock(feishu.credential, "second")
    assert not await process.redis.lock(feishu.credential, "second")


async def test_who_has_the_turn_may_take_it_again_since_the_first_answer_may_have_been_late(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    assert await process.redis.lock(feishu.credential, "first")
    assert await process.redis.lock(feishu.credential, "first")
    assert not await process.redis.lock(feishu.credential, "second")
