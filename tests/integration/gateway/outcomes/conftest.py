"""Stores of outcome records on a real Redis and a real Postgres."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from gateway.database import Database
from gateway.outcomes.postgres_records import PostgresRecords
from gateway.outcomes.redis_records import RedisRecords
from gateway.outcomes.store import Store
from gateway.redis_client import connect
from tests.integration.gateway.outcomes.support import PATIENT, MakeStore


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """An empty Redis."""
    async with connect(redis_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """A Postgres with the tables."""
    database = Database(migrated_url)
    yield database
    await database.close()


@pytest.fixture(params=["redis", "postgres"])
def make_store(request: pytest.FixtureRequest, redis: Redis, database: Database) -> MakeStore:
    """Make stores of either kind, each as if in a process of its own."""

    def make() -> Store:
        owner = secrets.token_hex(8)
        if request.param == "redis":
            return RedisRecords(redis, owner, timeout=PATIENT)
        return PostgresRecords(database, owner, timeout=PATIENT)

    return make
