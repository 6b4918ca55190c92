"""The schema of Postgres: plain SQL files, applied forward, in order, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway.errors import ConfigError

# Any number will do that nothing else in this database locks.
_LOCK = 7_512_880_346_110
_WAIT = "60s"
_CLIENT_WAIT = 70.0

_RECORD = """
CREATE TABLE schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_REMEMBER = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"
_RECORDED = "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version"


class SchemaMismatch(ConfigError):
    """The schema in Postgres is not one that this version can use; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; `checksum` shows whether a file was changed after it was applied."""

    version: int
    name: str
    checksum: str
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """How far the schema is: the steps taken, oldest first, with their times, and those to take."""

    taken: tuple[tuple[str, datetime], ...]
    missing: tuple[str, ...]


def known() -> list[Migration]:
    """The migrations that this version carries, oldest first."""
    entries = [entry for entry in files(__package__).iterdir() if entry.name.endswith(".sql")]
    return sorted(
        (_read(entry.name, entry.read_text(encoding="utf-8")) for entry in entries),
        key=lambda migration: migration.version,
    )


def pending(applied: Sequence[Migration], ours: Sequence[Migration]) -> list[Migration]:
    """The steps still to take; raises SchemaMismatch on a newer, changed or half-made schema."""
    known_versions = {migration.version: migration for migration in ours}
    newest = ours[-1].version if ours else 0
    for row in applied:
        if row.version > newest:
            raise SchemaMismatch(
                f"The database has schema {row.name}, which is newer than this lark-service "
                f"(newest known: {ours[-1].name if ours else 'none'}). Run a newer lark-service."
            )
        mine = known_versions.get(row.version)
        if mine is None or mine.checksum != row.checksum:
            raise SchemaMismatch(
                f"The database was migrated with another {row.name} than this lark-service "
                "carries. Run the version that made it, or restore a backup."
            )
    done = {row.version for row in applied}
    missing = [migration for migration in ours if migration.version not in done]
    last = max(done, default=0)
    if missing and missing[0].version < last:
        raise SchemaMismatch(
            f"The database is half migrated: {missing[0].name} was never applied, though a later "
            "one was. Restore a backup, or start with an empty database."
        )
    return missing


async def look(connection: PoolConnectionProxy) -> Schema:
    """Say how far the schema is, without changing it; raises SchemaMismatch as `apply` does."""
    rows: list[asyncpg.Record] = []
    if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        rows = await _recorded(connection)
    missing = pending(_steps(rows), known())
    return Schema(
        tuple((row["name"], row["applied_at"]) for row in rows),
        tuple(step.name for step in missing),
    )


async def apply(connection: PoolConnectionProxy) -> list[str]:
    """Bring the schema up to date in one transaction and return the names of the steps taken.

    Processes that start together wait for one another, at most a minute.
    """
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL statement_timeout = '{_WAIT}'; SET LOCAL lock_timeout = '{_WAIT}'"
        )
        # Held by the transaction, not the session, so that it also works behind pgbouncer.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_CLIENT_WAIT)
        # Asked first, since a role without the right to create may use a schema made for it.
        if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
            await _take(connection, Migration(0, "schema_migrations", "", _RECORD))
        steps = pending(_steps(await _recorded(connection)), known())
        for step in steps:
            await _take(connection, step)
            await connection.execute(_REMEMBER, step.version, step.name, step.checksum)
    return [step.name for step in steps]


async def _recorded(connection: PoolConnectionProxy) -> list[asyncpg.Record]:
    try:
        return await connection.fetch(_RECORDED)
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaMismatch(
            f"The steps taken so far cannot be read: {error.args[0]}. The user of DATABASE_URL "
            "must be the one who owns the tables, or be granted what they need."
        ) from error


async def _take(connection: PoolConnectionProxy, step: Migration) -> None:
    try:
        await connection.execute(step.sql, timeout=_CLIENT_WAIT)
    except asyncpg.SyntaxOrAccessError as error:
        raise SchemaMismatch(
            f"{step.name} cannot be applied: {error.args[0]}. The database must be one of its own, "
            "and its user must be allowed to create tables in it."
        ) from error


def _steps(rows: Sequence[asyncpg.Record]) -> list[Migration]:
    return [Migration(row["version"], row["name"], row["checksum"]) for row in rows]


def _read(file_name: str, sql: str) -> Migration:
    name = file_name.removesuffix(".sql")
    checksum = hashlib.sha256(sql.encode()).hexdigest()
    return Migration(int(name.partition("_")[0]), name, checksum, sql)
