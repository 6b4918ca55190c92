"""Which apps and pools are gone for good, so that one process at a time deletes their queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from .apps import DEFAULT_ALIAS
from .database import Connection, Database

_PRESENT: Final = """
SELECT alias FROM apps WHERE alias = ANY($1::text[]) AND status <> 'removed'
UNION ALL SELECT alias FROM pools WHERE alias = ANY($1::text[]) AND NOT removed
"""
_LOCK: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('lark-service queues ' || $1, 0))"
# RabbitMQ is asked while the lock is held.
_PATIENCE: Final = "SET LOCAL idle_in_transaction_session_timeout = '60s'"


class Removals:
    """Every method raises what Database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def gone(self, aliases: Iterable[str]) -> list[str]:
        """Of these aliases those that no app and no pool has, unless it is removed; in order."""
        asked = sorted(set(aliases) - {DEFAULT_ALIAS})
        present = {row["alias"] for row in await self._database.fetch(_PRESENT, asked)}
        return [alias for alias in asked if alias not in present]

    async def alone(self, alias: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* unless another process does so for this alias now; it may be done twice."""

        async def whole(connection: Connection) -> None:
            await connection.execute(_PATIENCE)
            if not await connection.fetchval(_LOCK, alias):
                return
            if not await connection.fetch(_PRESENT, [alias]):
                await work()

        await self._database.transaction(whole)
