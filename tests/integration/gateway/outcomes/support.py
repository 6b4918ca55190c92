"""What the tests of the outcome records share."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from gateway.catalogue import ApiClass
from gateway.database import Database
from gateway.metrics import Metrics
from gateway.outcomes.keeper import Keeper
from gateway.outcomes.postgres_records import PostgresRecords
from gateway.outcomes.protocol import Question, Recorded
from gateway.outcomes.records import OutcomeRecords
from gateway.outcomes.redis_records import RedisRecords
from gateway.outcomes.store import Store

K, N = ApiClass.KEYED, ApiClass.NEITHER
PATIENT = 5.0
"""Seconds, where a stalled machine is no store that is away."""

MakeStore = Callable[[], Store]


def question(
    call_id: str | None = None,
    klass: ApiClass = N,
    *,
    redelivered: bool = False,
    content: bytes = b"s",
    alias: str = "default",
    key_seconds: float = 3000.0,
) -> Question:
    """A question, of a call of its own unless an id is given."""
    call_id = call_id or secrets.token_hex(6)
    return Question(alias, call_id, klass, content * 32, redelivered, key_seconds)


def end(text: str = "done") -> Recorded:
    """How a call ended."""
    return Recorded(f'{{"said":"{text}"}}'.encode(), None, 1, "default")


@dataclass(slots=True)
class Member:
    """What one gateway process has of the records, without the process."""

    records: OutcomeRecords
    store: Store
    arbiter: Store | None
    keeper: Keeper
    metrics: Metrics

    async def die(self) -> None:
        """What is left of it when its leases are over."""
        for store in (self.store, self.arbiter):
            if store is not None:
                await store.leave()


def member(place: str, redis: Redis, database: Database, *, timeout: float = PATIENT) -> Member:
    """One process's records; nothing runs in the background."""
    owner, metrics = secrets.token_hex(8), Metrics()
    postgres = PostgresRecords(database, owner, timeout=timeout)
    store: Store = postgres
    if place == "redis":
        store = RedisRecords(redis, owner, timeout=timeout)
    arbiter = postgres if place == "redis" else None
    keeper = Keeper(store, arbiter, postgres.purge)
    return Member(OutcomeRecords(store, arbiter, keeper, metrics), store, arbiter, keeper, metrics)


async def records_of(redis: Redis) -> dict[bytes, bytes]:
    """What Redis holds now, but the owners."""
    names = [key async for key in redis.scan_iter("*") if not key.endswith(b":owners")]
    values = [await redis.get(name) for name in names]
    return {
        key: value for key, value in zip(names, values, strict=True) if isinstance(value, bytes)
    }
