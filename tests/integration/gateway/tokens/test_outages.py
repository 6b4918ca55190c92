"""A store that is away, hung, or comes and goes: what it costs calls."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.errors import GatewayError
from gateway.tokens.token import Token
from sandbox.stack import Stack
from tests.support.waiting import eventually

from .conftest import Process, Simulated, StartProcess, kept, many_calls


async def test_without_redis_each_process_asks_for_itself(
    feishu: Simulated, start_process: StartProcess
) -> None:
    processes = [
        await start_process(redis="redis://127.0.0.1:1/0", postgres="postgresql://127.0.0.1:1/none")
        for _ in range(2)
    ]
    feishu.server.world.latency_ms = 50
    await asyncio.gather(*(p.pool.get(feishu.app) for p in processes for _ in range(50)))
    assert feishu.token_requests == 2
    feishu.server.world.tokens.revoke()
    await many_calls(processes, feishu, 3)
    assert feishu.token_requests == 4


async def test_a_hung_redis_costs_a_cold_call_less_than_two_seconds(
    idle_stack: Stack, feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    if idle_stack.is_given("redis"):
        pytest.skip("this Redis is somebody's: it is not ours to pause")
    idle_stack.redis.pause()
    try:
        started = time.monotonic()
        token = await process.pool.get(feishu.app)
        assert time.monotonic() - started < 2
        started = time.monotonic()
        await process.pool.rejected(token)
        await process.pool.get(feishu.app)
        assert time.monotonic() - started < 2
    finally:
        idle_stack.redis.resume()


async def test_a_token_fetched_while_postgres_is_away_is_kept_when_it_is_back(
    idle_stack: Stack, feishu: Simulated, start_process: StartProcess
) -> None:
    if idle_stack.is_given("postgres"):
        pytest.skip("this Postgres is somebody's: it is not ours to stop")
    process = await start_process()
    await process.database.ping()
    await asyncio.to_thread(idle_stack.postgres.stop)
    try:
        started = time.monotonic()
        token = await process.pool.get(feishu.app)
        assert time.monotonic() - started < 1
    finally:
        await asyncio.to_thread(idle_stack.postgres.start)
    await kept(process, token)


async def test_a_hung_postgres_costs_a_cold_call_about_a_second(
    idle_stack: Stack, feishu: Simulated, start_process: StartProcess
) -> None:
    if idle_stack.is_given("postgres"):
        pytest.skip("this Postgres is somebody's: it is not ours to pause")
    process = await start_process()
    await process.database.ping()
    idle_stack.postgres.pause()
    try:
        started = time.monotonic()
        await process.pool.get(feishu.app)
        assert time.monotonic() - started < 1.9
    finally:
        idle_stack.postgres.resume()


async def test_redis_may_go_and_come_while_short_lived_tokens_are_renewed(
    idle_stack: Stack, feishu: Simulated, start_process: StartProcess
) -> None:
    if idle_stack.is_given("redis"):
        pytest.skip("this Redis is somebody's: it is not ours to stop")
    processes = [await start_process() for _ in range(2)]
    feishu.server.world.tokens.life = 3
    seen: set[str] = set()
    failed: list[GatewayError] = []
    stop = asyncio.Event()

    async def calls(process: Process) -> None:
        while not stop.is_set():
            try:
                token: Token = await process.pool.get(feishu.app)
            except GatewayError as error:
                failed.append(error)
            else:
                assert feishu.accepts(token.value)
                seen.add(token.value)
            await asyncio.sleep(0.01)

    running = [asyncio.create_task(calls(process)) for process in processes]
    await eventually(lambda: len(seen) >= 1)
    await asyncio.to_thread(idle_stack.redis.stop)
    before = len(seen)
    await eventually(lambda: len(seen) >= before + 2)
    await asyncio.to_thread(idle_stack.redis.start)
    before = len(seen)
    await eventually(lambda: len(seen) >= before + 2)
    stop.set()
    await asyncio.gather(*running)
    assert failed == []
