"""Deadlocks in Postgres, made by other connections, while tokens are replaced all the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from benchmarks.limits.report import Findings, at_least, exactly
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Producer, summary

from . import ground
from .loads import failures, revoke, standing
from .options import Options

APPS, CALLS = 9, 20_000
_PATIENCE = 120.0
_WAIT_SECONDS = 2.0
_TWO = "SELECT credential FROM tokens ORDER BY random() LIMIT 2"
_TOUCH = "UPDATE tokens SET app_id = app_id WHERE credential = $1"
# Whoever is quicker to look whether it is deadlocked is the one that is ended.
_QUICK, _SLOW = "20ms", "10s"


@dataclass(slots=True)
class Made:
    """Deadlocks so far: in how many a statement of a gateway was ended, and one of ours."""

    of_gateways: int = 0
    of_others: int = 0


async def deadlock(options: Options) -> Findings:
    """Locks taken in the opposite order, by and against the gateways' writes; no call fails."""
    findings, made = Findings("deadlock"), Made()
    async with ground.ground() as fleet, Producer(fleet.stack.rabbitmq_url) as producer:
        apps = ground.some_apps(fleet, options.some_apps(APPS))
        await ground.add_apps(fleet, apps)
        async with ground.database(fleet) as (database, _):
            await database.execute(f"ALTER ROLE CURRENT_USER SET deadlock_timeout = '{_QUICK}'")
        gateways = await fleet.start_gateways(options.gateways)
        aliases = ["default", *(app.alias for app in apps)]
        async with _beside(revoke(fleet, [app.app_id for app in apps]), _make(fleet, made)):
            lines = await standing(producer, aliases, options.some_calls(CALLS))
            await producer.answered(lines, _PATIENCE)
        retries = await ground.metric(gateways, "lark_service_db_retries_total")
    failed = failures(lines)
    findings.rows.append(
        {"processes": len(gateways), "calls": len(lines), "not ok": failed.total()}
        | {"slowest s": summary(lines)["slowest_s"]}
        | {"deadlocks that ended a gateway's statement": made.of_gateways}
        | {"that ended another's": made.of_others}
        | {f"sent again: {reason}": int(count) for (reason,), count in retries.items()}
    )
    findings.gates = [
        exactly("calls answered with an error", failed.total(), 0),
        at_least("statements sent again after a deadlock", retries[("deadlock",)], 1),
        at_least("deadlocks among other connections", made.of_others, 1),
    ]
    findings.remarks.append(f"Errors: {dict(failed)}")
    return findings


@asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Have this done meanwhile; raises what became of it."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _make(fleet: Fleet, made: Made) -> None:
    """Make deadlocks of both sorts in turn, until cancelled."""
    url = fleet.stack.environment()["DATABASE_URL"]
    first, second = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        while True:
            await _against_a_gateway(first, second, made)
            await _among_others(first, second, made)
    finally:
        first.terminate()
        second.terminate()


async def _against_a_gateway(
    holder: asyncpg.Connection, watcher: asyncpg.Connection, made: Made
) -> None:
    """Lock rows, wait until a gateway waits for one, and then want the table that it writes to."""
    await holder.execute(f"SET deadlock_timeout = '{_SLOW}'")
    before = await _deadlocks(watcher)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM tokens ORDER BY credential FOR UPDATE")
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            if await watcher.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                break
            await asyncio.sleep(0.001)
        await holder.execute("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE")
    # The server tells of what it counted only now and then.
    made.of_gateways += max(0, await _deadlocks(watcher) - before)


async def _among_others(first: asyncpg.Connection, second: asyncpg.Connection, made: Made) -> None:
    """Lock two rows in the opposite order: Postgres ends one of the two connections' statements."""
    await first.execute(f"SET deadlock_timeout = '{_QUICK}'")
    keys = [row["credential"] for row in await first.fetch(_TWO)]

    async def one(connection: asyncpg.Connection, order: list[bytes]) -> None:
        try:
            async with connection.transaction():
                for key in order:
                    await connection.execute(_TOUCH, key)
                    await asyncio.sleep(0.05)
        except asyncpg.DeadlockDetectedError:
            made.of_others += 1

    await asyncio.gather(one(first, keys), one(second, keys[::-1]))


async def _deadlocks(connection: asyncpg.Connection) -> int:
    counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(await connection.fetchval(counted))
