"""The Redis client: quick to fail, and no obstacle to a task that is told to stop."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.redis_client import connect
from sandbox.stack.ports import free_ports


async def test_a_refused_connection_fails_at_once_and_is_not_tried_again() -> None:
    [port] = free_ports(1)
    begun = time.monotonic()
    async with connect(f"redis://127.0.0.1:{port}/0") as client:
        with pytest.raises(RedisConnectionError):
            await client.ping()
    assert time.monotonic() - begun < 0.3


async def test_answers_are_bytes(redis_url: str) -> None:
    async with connect(redis_url) as client:
        await client.set("key", "value")
        assert await client.get("key") == b"value"


async def test_more_callers_than_connections_wait_their_turn(redis_url: str) -> None:
    async with connect(redis_url) as client:
        answers = await asyncio.gather(*(client.echo(str(number)) for number in range(500)))
    assert answers == [str(number).encode() for number in range(500)]


async def _ask_for_ever(client: Redis) -> None:
    while True:
        await client.ping()


async def test_a_cancelled_task_ends_at_whatever_moment_the_cancel_comes(redis_url: str) -> None:
    async with connect(redis_url) as client:
        await client.ping()
        for turns in range(600):
            task = asyncio.create_task(_ask_for_ever(client))
            for _ in range(turns % 40):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task}, timeout=0.5)
            assert task.done()
