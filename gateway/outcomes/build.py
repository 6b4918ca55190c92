"""Puts the outcome records of one process together."""

from __future__ import annotations

import secrets
from typing import Literal

from redis.asyncio import Redis

from gateway.database import Database
from gateway.metrics import Metrics

from .keeper import Keeper
from .postgres_records import PostgresRecords
from .records import OutcomeRecords
from .redis_records import RedisRecords
from .store import Store

Place = Literal["redis", "postgres"]


def build_outcomes(
    place: Place, redis: Redis, database: Database, metrics: Metrics
) -> OutcomeRecords:
    """Records in Redis, with Postgres for a time when Redis is away; or all in Postgres."""
    owner = secrets.token_hex(8)
    postgres = PostgresRecords(database, owner)
    store: Store = postgres if place == "postgres" else RedisRecords(redis, owner)
    arbiter = None if place == "postgres" else postgres
    return OutcomeRecords(store, arbiter, Keeper(store, arbiter, postgres.purge), metrics)
