"""Redis, Postgres or both fail under a steady load, while tokens live so short that they end."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import methodcaller

from redis.asyncio import Redis

from benchmarks.limits.figures import quantile
from benchmarks.limits.report import Findings, at_most, exactly
from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Line, Producer
from sandbox.stack.server import Server

from . import ground
from .options import Options

APPS = 9
RATE = 100.0
LIFE, RENEW_BELOW = 40.0, 34.0
"""Renewed 13 to 33 s before its end, when Feishu has a new one."""
FAULT_SECONDS = 20.0
_WARM_SECONDS, _AFTER_SECONDS = 10.0, 10.0
_EMPTY_SECONDS = 2.0
_SLOW_SECONDS = 0.5
"""A call that takes so much longer than most is one of those that a fault delays."""

Fault = Callable[[Fleet, Sequence[str], float], Awaitable[None]]


async def _none(_fleet: Fleet, _stores: Sequence[str], seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _stopped(fleet: Fleet, stores: Sequence[str], seconds: float) -> None:
    await _each(fleet, stores, "stop")
    await asyncio.sleep(seconds)
    await _each(fleet, stores, "start")


async def _hung(fleet: Fleet, stores: Sequence[str], seconds: float) -> None:
    await _each(fleet, stores, "pause")
    await asyncio.sleep(seconds)
    await _each(fleet, stores, "resume")


async def _restarted(fleet: Fleet, stores: Sequence[str], seconds: float) -> None:
    began = time.monotonic()
    await _each(fleet, stores, "restart")
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))


async def _emptied(fleet: Fleet, stores: Sequence[str], seconds: float) -> None:
    """Again and again: of Postgres what is about tokens, since apps are nothing that comes back."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if "redis" in stores:
            async with Redis.from_url(fleet.stack.redis_url) as redis:
                await redis.flushall()
        if "postgres" in stores:
            async with ground.database(fleet) as (database, _):
                await database.execute("TRUNCATE tokens, token_leases, token_drops")
        await asyncio.sleep(_EMPTY_SECONDS)


async def _each(fleet: Fleet, stores: Sequence[str], act: str) -> None:
    servers: Mapping[str, Server] = {"redis": fleet.stack.redis, "postgres": fleet.stack.postgres}
    await asyncio.gather(*(asyncio.to_thread(methodcaller(act), servers[name]) for name in stores))


FAULTS: Mapping[str, Fault] = {
    "stopped": _stopped,
    "hung": _hung,
    "emptied": _emptied,
    "restarted": _restarted,
}
STORES = (("redis",), ("postgres",), ("redis", "postgres"))


@dataclass(frozen=True, slots=True)
class Cell:
    """What one fault did to the calls. Seconds."""

    offered: int
    failed: Counter[str]
    usual_p99: float
    fault_p99: float
    slowest: float
    recovered_after: float
    requests: int

    def row(self, what: str, usual_requests: int | None) -> dict[str, str | int | float | None]:
        """As the table shows it; *usual_requests* are those without a fault."""
        return {
            "what": what,
            "calls": self.offered,
            "failed": self.failed.total(),
            "token requests": self.requests,
            "more than usual": None if usual_requests is None else self.requests - usual_requests,
            "p99 before s": round(self.usual_p99, 3),
            "p99 during s": round(self.fault_p99, 3),
            "slowest s": round(self.slowest, 3),
            "last slow call after s": round(self.recovered_after, 1),
        }


async def stores(options: Options) -> Findings:
    """Every fault of every store, and none for comparison; each in the same fleet."""
    findings = Findings("stores")
    async with _fleet(options) as (fleet, producer, aliases):
        seconds = options.lasting(FAULT_SECONDS)
        usual = await _cell(fleet, producer, aliases, _none, (), seconds)
        findings.rows.append(usual.row("no fault", None))
        for names in STORES:
            for what, fault in FAULTS.items():
                cell = await _cell(fleet, producer, aliases, fault, names, seconds)
                name = f"{' and '.join(names)} {what}"
                findings.rows.append(cell.row(name, usual.requests))
                findings.gates.append(exactly(f"{name}: failed calls", cell.failed.total(), 0))
                if cell.failed:
                    findings.remarks.append(f"{name}: {dict(cell.failed)}")
        alive = sum(gateway.alive for gateway in fleet.gateways)
    findings.gates.append(exactly("processes that live on", alive, options.gateways))
    worst = max(float(row["last slow call after s"] or 0) for row in findings.rows)
    findings.gates.append(at_most("s until no call is slow any more", worst, 5))
    return findings


@asynccontextmanager
async def _fleet(options: Options) -> AsyncIterator[tuple[Fleet, Producer, list[str]]]:
    life = ("--token-life", str(LIFE), "--renew-below", str(RENEW_BELOW))
    async with ground.ground(*life) as fleet, Producer(fleet.stack.rabbitmq_url) as producer:
        apps = ground.some_apps(fleet, options.some_apps(APPS))
        await ground.add_apps(fleet, apps)
        await fleet.start_gateways(options.gateways)
        yield fleet, producer, ["default", *(app.alias for app in apps)]


async def _cell(
    fleet: Fleet,
    producer: Producer,
    aliases: Sequence[str],
    fault: Fault,
    names: Sequence[str],
    seconds: float,
) -> Cell:
    before = (await ground.token_requests(fleet)).total()
    load = asyncio.create_task(_steady(producer, aliases, _WARM_SECONDS + seconds + _AFTER_SECONDS))
    await asyncio.sleep(_WARM_SECONDS)
    broken = time.monotonic()
    await fault(fleet, names, seconds)
    mended = time.monotonic()
    lines = await load
    await producer.answered(lines, 75)
    usual = [line.seconds for line in lines if line.offered < broken and line.seconds]
    during = [line.seconds for line in lines if broken <= line.offered < mended and line.seconds]
    slow = quantile(usual, 0.99) + _SLOW_SECONDS
    late = [line.offered - mended for line in lines if (line.seconds or math.inf) > slow]
    return Cell(
        offered=len(lines),
        failed=Counter(line.outcome for line in lines if line.outcome != "ok"),
        usual_p99=quantile(usual, 0.99),
        fault_p99=quantile(during, 0.99),
        slowest=max((line.seconds or math.inf) for line in lines),
        recovered_after=max(0.0, *late, 0.0),
        requests=(await ground.token_requests(fleet)).total() - before,
    )


async def _steady(producer: Producer, aliases: Sequence[str], seconds: float) -> list[Line]:
    """A call every so often whatever becomes of it, of all apps in turn."""
    began, tasks = time.monotonic(), []
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        alias = aliases[number % len(aliases)]
        tasks.append(asyncio.create_task(producer.call(calls.read_user(), app=alias)))
    return list(await asyncio.gather(*tasks))
