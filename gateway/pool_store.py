"""The pools in Postgres: several apps under one alias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .app_rows import RegistryError, StoredPool, check_alias
from .apps import DEFAULT_ALIAS
from .database import Connection, Database
from .registry_changes import Changes, check_free, check_unchanged

_FOUND: Final = "SELECT revision FROM pools WHERE alias = $1 AND NOT removed"
_APPS: Final = "SELECT alias FROM apps WHERE alias = ANY($1::text[]) AND status <> 'removed'"
_ADD: Final = "INSERT INTO pools (alias, members, revision) VALUES ($1, $2, $3)"
_SET: Final = """
UPDATE pools SET members = $3, updated_at = now(), revision = $2 WHERE alias = $1
"""
_REMOVE: Final = """
UPDATE pools SET removed = true, updated_at = now(), revision = $2 WHERE alias = $1
"""


class PoolStore:
    """Changes pools; every method raises RegistryError and what Database raises."""

    def __init__(self, database: Database, *, actor: str) -> None:
        self._changes = Changes(database, actor)

    async def add(self, alias: str, members: Sequence[str]) -> None:
        """Store a new pool of apps that there are."""
        check_alias(alias)

        async def work(connection: Connection, revision: int) -> None:
            await check_free(connection, alias)
            await _check_members(connection, members)
            await connection.execute(_ADD, alias, list(members), revision)

        await self._changes.make("pool-add", alias, {"members": list(members)}, work)

    async def set_members(self, seen: StoredPool, members: Sequence[str]) -> None:
        """Replace the members, while calls go on."""
        alias = seen.pool.alias

        async def work(connection: Connection, revision: int) -> None:
            await _check_seen(connection, seen)
            await _check_members(connection, members)
            await connection.execute(_SET, alias, revision, list(members))

        await self._changes.make("pool-set", alias, {"members": list(members)}, work)

    async def remove(self, seen: StoredPool) -> None:
        """Give the pool up, not its members: gateways empty its queues, and purge the row then."""
        alias = seen.pool.alias

        async def work(connection: Connection, revision: int) -> None:
            await _check_seen(connection, seen)
            await connection.execute(_REMOVE, alias, revision)

        await self._changes.make("pool-remove", alias, {}, work)


async def _check_seen(connection: Connection, seen: StoredPool) -> None:
    alias = seen.pool.alias
    check_unchanged("pool", alias, seen.revision, await connection.fetchval(_FOUND, alias))


async def _check_members(connection: Connection, members: Sequence[str]) -> None:
    if not members:
        raise RegistryError("a pool needs at least one app")
    twice = sorted({alias for alias in members if members.count(alias) > 1})
    if twice:
        raise RegistryError(f"the app {twice[0]!r} is named more than once")
    found = {row["alias"] for row in await connection.fetch(_APPS, list(members))}
    missing = [alias for alias in members if alias not in found | {DEFAULT_ALIAS}]
    if missing:
        raise RegistryError(
            f"no app has the alias {missing[0][:64]!r}; see which there are: lark-service app list"
        )
