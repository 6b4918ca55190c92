"""How apps and pools are changed in Postgres: one change after another, each once, on record."""

from __future__ import annotations

import getpass
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from .app_rows import ChangedMeanwhile, RegistryError
from .database import Connection, Database

Work = Callable[[Connection, int], Awaitable[None]]
"""What a change does, given the revision that it makes."""

# Operators wait for one another; the server's own limit is meant for calls.
_PATIENCE: Final = "SET LOCAL lock_timeout = '2s'"
_COUNT_UP: Final = "UPDATE registry_revision SET revision = revision + 1 RETURNING revision"
_MADE: Final = "SELECT EXISTS (SELECT FROM app_audit WHERE id = $1)"
_RECORD: Final = """
INSERT INTO app_audit (id, actor, action, alias, details) VALUES ($1, $2, $3, $4, $5::jsonb)
"""
_HISTORY: Final = """
SELECT at, actor, action, details FROM app_audit WHERE alias = $1 ORDER BY at DESC LIMIT $2
"""
_TAKEN: Final = """
SELECT 'app' AS kind, status = 'removed' AS removed FROM apps WHERE alias = $1
UNION ALL SELECT 'pool', removed FROM pools WHERE alias = $1
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an app or a pool, as it is on record."""

    at: datetime
    actor: str
    action: str
    details: Mapping[str, Any]


class Changes:
    """Makes changes in the name of one actor; every method raises what Database raises."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    async def make(self, action: str, alias: str, details: Mapping[str, Any], work: Work) -> None:
        """Run *work* and record it, both or neither; *details* must hold no secret."""
        change = uuid.uuid4()

        async def whole(connection: Connection) -> None:
            await connection.execute(_PATIENCE)
            # First, since it locks: what *work* then reads nobody else changes before the end.
            revision = await connection.fetchval(_COUNT_UP)
            if await connection.fetchval(_MADE, change):
                return  # Sent again, because the connection was lost while it was committed.
            await work(connection, revision)
            written = orjson.dumps(details).decode()
            await connection.execute(_RECORD, change, self._actor, action, alias, written)

        await self._database.transaction(whole)

    async def of(self, alias: str, most: int) -> list[Change]:
        """The latest changes under an alias, newest first."""
        return [
            Change(row["at"], row["actor"], row["action"], orjson.loads(row["details"]))
            for row in await self._database.fetch(_HISTORY, alias, most)
        ]


async def check_free(connection: Connection, alias: str) -> None:
    """Raise RegistryError where an app or a pool has the alias."""
    row = await connection.fetchrow(_TAKEN, alias)
    if row is None:
        return
    kind = row["kind"]
    if row["removed"]:
        raise RegistryError(
            f"the {kind} {alias!r} is being removed; wait until a gateway has emptied its queues"
        )
    raise RegistryError(
        f"there is {'an' if kind == 'app' else 'a'} {kind} {alias!r} already; "
        f"look at it with: lark-service {kind} show {alias}"
    )


def check_unchanged(kind: str, alias: str, seen: int, found: int | None) -> None:
    """Raise ChangedMeanwhile where the row is not the one that was read."""
    if found is None:
        raise ChangedMeanwhile(f"there is no {kind} {alias!r} any more")
    if found != seen:
        raise ChangedMeanwhile(
            f"the {kind} {alias!r} was changed by somebody else meanwhile, and nothing was "
            f"overwritten; look at it with: lark-service {kind} show {alias}"
        )


def operating_user() -> str:
    """Who runs this process, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
