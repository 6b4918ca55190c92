"""Whose turn it is to ask Feishu while Redis is away."""

from __future__ import annotations

import asyncio
import secrets

import asyncpg
import pytest

from gateway.errors import Refused
from gateway.tokens.token import Holder
from sandbox.feishu.tokens import STORE_APP_TOKEN, STORE_TENANT_TOKEN
from tests.support.waiting import eventually

from .conftest import Process, Shop, Simulated, StartProcess, many_calls
from .shops import with_ticket

NO_REDIS = "redis://127.0.0.1:1/0"


async def fleet(start_process: StartProcess, size: int) -> list[Process]:
    return [await start_process(redis=NO_REDIS) for _ in range(size)]


async def test_without_redis_processes_that_start_cold_together_cost_one_token_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = await fleet(start_process, 4)
    feishu.server.world.latency_ms = 200
    tokens = await asyncio.gather(*(p.pool.get(feishu.app) for p in processes for _ in range(50)))
    assert len({token.value for token in tokens}) == 1
    assert feishu.token_requests == 1


async def test_without_redis_a_revoked_token_costs_the_fleet_one_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = await fleet(start_process, 2)
    await asyncio.gather(*(process.pool.get(feishu.app) for process in processes))
    feishu.server.world.latency_ms = 20
    calls = asyncio.create_task(many_calls(processes, feishu, 16))
    await eventually(lambda: feishu.accepted > 100)
    feishu.server.world.tokens.revoke()
    await calls
    assert feishu.token_requests == 2


async def test_without_redis_a_wrong_secret_costs_the_fleet_one_token_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = await fleet(start_process, 3)
    feishu.server.world.latency_ms = 50
    results = await asyncio.gather(
        *(process.pool.get(feishu.wrong_app) for process in processes for _ in range(30)),
        return_exceptions=True,
    )
    assert {type(result) for result in results} == {Refused}
    assert feishu.token_requests == 1


async def test_a_holder_that_died_holds_the_others_up_until_its_turn_ends(
    feishu: Simulated, start_process: StartProcess
) -> None:
    [process] = await fleet(start_process, 1)
    assert await process.postgres.lock(feishu.credential, secrets.token_hex(8))
    waiting = asyncio.create_task(process.pool.get(feishu.app))
    await asyncio.sleep(0.3)
    assert feishu.token_requests == 0
    await process.database.execute("UPDATE token_leases SET ends_at = clock_timestamp()")
    await asyncio.wait_for(waiting, 5)
    assert feishu.token_requests == 1


async def test_a_turn_lasts_ten_seconds_and_only_its_holder_gives_it_back(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    assert await process.postgres.lock(feishu.credential, "first")
    [row] = await process.database.fetch(
        "SELECT extract(epoch FROM ends_at - clock_timestamp())::float8 AS left FROM token_leases"
        " WHERE credential = $1",
        feishu.credential.key,
    )
    assert 9 < row["left"] <= 10
    await process.postgres.unlock(feishu.credential, "second")
    assert not await process.postgres.lock(feishu.credential, "second")
    await process.postgres.unlock(feishu.credential, "first")
    assert await process.postgres.lock(feishu.credential, "second")


async def test_a_turn_that_ends_impossibly_late_is_nobodys(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    assert await process.postgres.lock(feishu.credential, "first")
    await process.database.execute("UPDATE token_leases SET ends_at = now() + interval '9 years'")
    assert await process.postgres.lock(feishu.credential, "second")


async def test_nothing_is_locked_or_open_in_postgres_while_feishu_is_asked(
    feishu: Simulated, start_process: StartProcess, migrated_url: str
) -> None:
    [process] = await fleet(start_process, 1)
    feishu.fail(delay_ms=500, code=0, body='{"code": 0, "tenant_access_token": "t", "expire": 60}')
    waiting = asyncio.create_task(process.pool.get(feishu.app))
    await eventually(lambda: feishu.token_requests == 1)
    connection = await asyncpg.connect(migrated_url)
    try:
        states = await connection.fetch(
            "SELECT state FROM pg_stat_activity WHERE application_name = 'lark-service'"
            " AND datname = current_database()"
        )
        locks = await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    finally:
        await connection.close()
    assert not waiting.done()
    assert {row["state"] for row in states} == {"idle"}
    assert locks == 0
    await waiting


async def test_a_process_with_redis_and_one_without_agree_through_postgres(
    feishu: Simulated, start_process: StartProcess
) -> None:
    with_redis, without = await start_process(), await start_process(redis=NO_REDIS)
    token = await without.pool.get(feishu.app)
    assert await with_redis.pool.get(feishu.app) == token
    assert feishu.token_requests == 1


@pytest.mark.parametrize("count", [300])
async def test_many_credentials_at_once_cost_one_request_each_in_a_cold_fleet(
    feishu: Simulated, start_process: StartProcess, count: int
) -> None:
    apps = feishu.more_apps(count)
    processes = [await start_process() for _ in range(2)]
    found = await asyncio.gather(*(p.pool.get(app) for app in apps for p in processes))
    assert len({token.value for token in found}) == count
    assert feishu.token_requests == count


async def test_a_crowd_of_tenants_does_not_keep_their_apps_own_token_out(
    shop: Shop, start_process: StartProcess
) -> None:
    first, second = await with_ticket(shop, start_process), await start_process()
    tenants = [Holder("tenant", f"tenant-{number}") for number in range(100)]
    async with asyncio.timeout(30):
        await asyncio.gather(
            *(p.pool.get(shop.app, tenant) for tenant in tenants for p in (first, second))
        )
    assert shop.asked(STORE_APP_TOKEN) == 1
    assert shop.asked(STORE_TENANT_TOKEN) == 100
