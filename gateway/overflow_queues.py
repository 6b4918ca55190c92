"""The registry of overflow queues in Postgres: where calls may wait, for every process to find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.names import Lane, overflow_queue

from .database import Connection, Database
from .limits.buckets import Bucket

IDLE_SECONDS = 600.0
"""A queue that is empty, and that nobody used for so long, is removed."""

_REGISTER = """
INSERT INTO overflow_queues (name, app, lane, bucket, label, windows)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name) DO UPDATE
SET used_at = now(), label = excluded.label, windows = excluded.windows
"""
_LIST = """
SELECT name, app, lane, bucket, label, windows, created_at, used_at,
    extract(epoch FROM now() - used_at)::float8 AS idle
FROM overflow_queues ORDER BY created_at, name
"""
_TOUCH = "UPDATE overflow_queues SET used_at = now() WHERE name = ANY($1::text[])"
_LOCK_IDLE = """
SELECT name FROM overflow_queues WHERE used_at < now() - make_interval(secs => $1)
ORDER BY used_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_REMOVE = "DELETE FROM overflow_queues WHERE name = $1"
# RabbitMQ is asked while the row is locked; movers that register wait for the end of it.
_PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = '60s'"


@dataclass(frozen=True, slots=True)
class OverflowQueue:
    """The queue that takes the excess of one bucket, of one lane of one app."""

    name: str
    app: str
    lane: Lane
    bucket: str
    """The bucket's key."""
    label: str
    """What metrics call the bucket: one of a bounded number."""
    windows: str
    """The bucket's limits for people to read, such as `1000/60s 50/1s`."""

    @classmethod
    def of(cls, alias: str, lane: Lane, bucket: Bucket) -> OverflowQueue:
        """The one queue of this bucket and lane, the same in every process."""
        windows = " ".join(f"{window.limit}/{window.seconds:g}s" for window in bucket.windows)
        name = overflow_queue(alias, lane, bucket.key)
        return cls(name, alias, lane, bucket.key, bucket.name or "other", windows)


@dataclass(frozen=True, slots=True)
class Registered:
    """A row of the registry; `idle` is seconds since it was used, by the clock of Postgres."""

    queue: OverflowQueue
    created_at: datetime
    used_at: datetime
    idle: float


class OverflowRegistry:
    """Every method raises what Database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, queue: OverflowQueue) -> None:
        """Enter a queue before it is used, or note that it is used again.

        Waits while the queue is being removed: once this returns, it stays for IDLE_SECONDS.
        """
        await self._database.execute(
            _REGISTER,
            queue.name,
            queue.app,
            queue.lane,
            queue.bucket,
            queue.label,
            queue.windows,
        )

    async def list(self) -> list[Registered]:
        """Every queue, oldest first."""
        return [
            Registered(
                OverflowQueue(*(row[name] for name in OverflowQueue.__slots__)),
                row["created_at"],
                row["used_at"],
                row["idle"],
            )
            for row in await self._database.fetch(_LIST)
        ]

    async def touch(self, names: Iterable[str]) -> None:
        """Note that these queues are in use."""
        await self._database.execute(_TOUCH, list(names))

    async def retire(self, idle: float, remove: Callable[[str], Awaitable[bool]]) -> bool:
        """Look after one queue that nobody used for *idle* seconds; False when there is none.

        *remove* deletes the queue in RabbitMQ where it is empty, and says whether it is gone; it
        may be called twice. What is left then counts as used. No other process looks after the same
        queue meanwhile, and nobody registers it.
        """

        async def work(connection: Connection) -> bool:
            await connection.execute(_PATIENCE)
            name: str | None = await connection.fetchval(_LOCK_IDLE, idle)
            if name is None:
                return False
            if await remove(name):
                await connection.execute(_REMOVE, name)
            else:
                await connection.execute(_TOUCH, [name])
            return True

        return await self._database.transaction(work)
