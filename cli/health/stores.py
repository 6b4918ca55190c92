"""Postgres and Redis. Calls go on without either, for as long as tokens live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway import redis_client
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.migrations import SchemaMismatch
from gateway.peers import certificate_flaw

from .check import Check, degraded, healthy, unhealthy

LONG_TRANSACTION: Final = 10
"""Seconds; the gateway's own are cut after five without work."""
MANY_DEAD: Final = 100
"""Dead letters of one hour."""
LARGEST_SHARE: Final = 0.9
"""Of the memory that Redis may use."""

_TRANSACTIONS: Final = """
SELECT pid, coalesce(application_name, '') AS application, state,
    extract(epoch FROM clock_timestamp() - xact_start)::int AS seconds
FROM pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - make_interval(secs => $1)
ORDER BY xact_start
"""
_DEAD: Final = """
SELECT count(*) FILTER (WHERE state = 'open') AS open,
    count(*) FILTER (WHERE dead_at > now() - interval '1 hour') AS fresh
FROM dead_letters
"""


async def postgres(
    database: Database, *, quick: bool = False, long: float = LONG_TRANSACTION
) -> list[Check]:
    """Whether Postgres answers; and unless *quick*, the schema, transactions and dead letters.

    *long* is how many seconds a transaction may be open.
    """
    asked_at = time.monotonic()
    try:
        await database.ping()
        took = (time.monotonic() - asked_at) * 1000
        found = [healthy("database", f"answers in {took:.0f} ms", milliseconds=round(took, 1))]
        if quick:
            return found
        migrations = await _migrations(database)
        found += [migrations, await _transactions(database, long)]
        if not migrations.facts.get("pending", ["unknown"]):
            found.append(await _dead_letters(database))
    except GatewayError as error:
        return [degraded("database", error.message, "start Postgres, or mend DATABASE_URL")]
    return found


async def _migrations(database: Database) -> Check:
    try:
        schema = await database.schema()
    except SchemaMismatch as error:
        return unhealthy("migrations", str(error))
    pending = list(schema.missing)
    if pending:
        message = f"{len(pending)} steps to take, from {pending[0]} on"
        return degraded("migrations", message, "lark-service db migrate", pending=pending)
    return healthy("migrations", f"up to date with {schema.taken[-1][0]}", pending=[])


async def _transactions(database: Database, long: float) -> Check:
    rows = await database.fetch(_TRANSACTIONS, float(long))
    return of_transactions([dict(row) for row in rows])


def of_transactions(rows: list[dict[str, Any]]) -> Check:
    """Judge the transactions of our user that have been open for long, the longest first."""
    if not rows:
        message = f"none of our user is open for more than {LONG_TRANSACTION} s"
        return healthy("transactions", message)
    told = ", ".join(
        f"pid {row['pid']} ({row['application'] or 'unnamed'}, {row['state']}) for "
        f"{row['seconds']} s"
        for row in rows
    )
    hint = f"SELECT pg_terminate_backend({rows[0]['pid']});"
    return degraded("transactions", f"open: {told}", hint, open=rows)


async def _dead_letters(database: Database) -> Check:
    row = await database.fetchrow(_DEAD)
    opened, fresh = (row["open"], row["fresh"]) if row else (0, 0)
    message = f"{opened} kept, {fresh} of the last hour"
    facts = {"open": opened, "last_hour": fresh}
    if fresh > MANY_DEAD:
        hint = "SELECT reason, app, count(*) FROM dead_letters GROUP BY 1, 2 ORDER BY 3 DESC;"
        return degraded("dead-letters", message, hint, **facts)
    return healthy("dead-letters", message, **facts)


async def redis(url: str) -> list[Check]:
    """Whether Redis answers, and how full it is."""
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or 6379}"
    client = redis_client.connect(url)
    asked_at = time.monotonic()
    try:
        memory = await _memory(client)
    except (RedisError, OSError) as error:
        reason = (
            f"Redis at {place} is not to be had: {certificate_flaw(error) or type(error).__name__}"
        )
        return [degraded("redis", reason, "start Redis, or mend REDIS_URL")]
    finally:
        await asyncio.shield(client.aclose())
    took = (time.monotonic() - asked_at) * 1000
    return [of_memory(memory, took)]


async def _memory(client: Redis) -> Mapping[str, Any]:
    found: Mapping[str, Any] = await client.info("memory")
    return found


def of_memory(memory: Mapping[str, Any], milliseconds: float) -> Check:
    """Judge what Redis uses of what it may; without a limit it is only told."""
    used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
    facts = {"used_bytes": used, "most_bytes": most, "milliseconds": round(milliseconds, 1)}
    message = f"answers in {milliseconds:.0f} ms, uses {used / 2**20:.1f} MiB"
    if most:
        message += f" of {most / 2**20:.1f}"
    if most and used > LARGEST_SHARE * most:
        return degraded("redis", message, "raise maxmemory, or find who else writes there", **facts)
    return healthy("redis", message, **facts)
