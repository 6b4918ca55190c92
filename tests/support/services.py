"""Real servers for tests: started once per run, with a clean place in them per test module.

A server that the environment names by URL is used as it is, with care: its data may be somebody's.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis.asyncio as aioredis

from sandbox.stack import Stack, StackError

_LOCAL = Path(__file__).resolve().parents[2] / ".local"
_DATABASES = 16
_VHOSTS = 10
_redis_numbers = itertools.cycle(range(1, _DATABASES))


def started(stack: Stack, *names: str) -> Stack:
    """The stack with these servers serving; fails the test with what to do when one cannot."""
    try:
        stack.start(*names)
    except StackError as error:
        pytest.fail(str(error), pytrace=False)
    return stack


@pytest.fixture(scope="session")
def idle_stack() -> Iterator[Stack]:
    """A stack of which nothing runs yet."""
    _LOCAL.mkdir(exist_ok=True)
    stack = Stack(_LOCAL / f"tests-{secrets.token_hex(4)}", given=os.environ)
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def stack(idle_stack: Stack) -> Stack:
    """RabbitMQ, Redis and PostgreSQL, all serving.

    A test may kill, pause or stop them; the next module that asks for one finds it serving again.
    """
    return started(idle_stack)


@pytest.fixture(scope="session")
def vhosts(idle_stack: Stack) -> Iterator[str]:
    """Vhosts in which nothing is declared, made several at a time: that takes hardly longer."""

    def endless() -> Iterator[str]:
        while True:
            names = [f"test-{secrets.token_hex(4)}" for _ in range(_VHOSTS)]
            idle_stack.rabbitmq.create_vhosts(names)
            yield from names

    return endless()


@pytest.fixture(scope="module")
def rabbitmq_url(idle_stack: Stack, vhosts: Iterator[str]) -> str:
    """A vhost in which nothing is declared."""
    started(idle_stack, "rabbitmq")
    if not idle_stack.is_given("rabbitmq"):
        return idle_stack.rabbitmq.vhost_url(next(vhosts))
    url = idle_stack.rabbitmq_url
    if "test" not in urlsplit(url).path:
        pytest.fail(
            "Tests declare and purge queues: RABBITMQ_URL must name a vhost of their own with "
            "`test` in its name, or be unset.",
            pytrace=False,
        )
    return url


@pytest.fixture(scope="module")
async def redis_url(idle_stack: Stack) -> AsyncIterator[str]:
    """A Redis database without keys, emptied again afterwards."""
    url = started(idle_stack, "redis").redis_url.rpartition("/")[0]
    for _ in range(_DATABASES):
        candidate = f"{url}/{next(_redis_numbers)}"
        async with aioredis.Redis.from_url(candidate) as client:
            if not idle_stack.is_given("redis"):
                await client.flushdb()
            if await client.dbsize() == 0:
                break
    else:
        pytest.fail("No empty database in the Redis that REDIS_URL names; unset it.", pytrace=False)
    yield candidate
    started(idle_stack, "redis")
    async with aioredis.Redis.from_url(candidate) as client:
        await client.flushdb()


@pytest.fixture(scope="module")
async def database_url(idle_stack: Stack) -> AsyncIterator[str]:
    """A PostgreSQL database without tables, dropped again afterwards."""
    server_url = started(idle_stack, "postgres").database_url
    name = f"test_{secrets.token_hex(6)}"
    await _execute(server_url, f"CREATE DATABASE {name}")
    yield f"{server_url.rpartition('/')[0]}/{name}"
    started(idle_stack, "postgres")
    await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
