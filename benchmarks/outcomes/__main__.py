"""What the outcome records add to a call: `python -m benchmarks.outcomes`.

One process claims, begins and completes calls, on a private Redis and a private Postgres, and does
nothing else: what is measured is what a K or N call pays beside one whose end is not recorded,
which asks the records nothing. Rounds take turns, medians are shown.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from benchmarks.limits.report import Findings
from benchmarks.scenarios import Scenario, parse, parser_of, perform
from gateway.catalogue import ApiClass
from gateway.database import Database
from gateway.errors import NotNow
from gateway.limits.batches import Batches
from gateway.metrics import Metrics
from gateway.outcomes.build import Place, build_outcomes
from gateway.outcomes.protocol import Claim, Question, Recorded
from gateway.outcomes.records import OutcomeRecords
from gateway.redis_client import connect
from gateway.redis_scripts import Command
from sandbox.stack import Stack

LOCAL = Path(".local")
END = Recorded(b'{"status":200,"headers":{},"body":{"code":0,"data":"' + b"x" * 400, None, 1, "a")
_FEW_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    """How long each measurement takes, and how many rounds there are."""

    seconds: float = 1.5
    rounds: int = 3
    callers: tuple[int, ...] = (1, 64, 256)


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement: CPU-seconds per 10,000 calls, the median of what one call waits, and the
    share of claims and starts that the store did not answer in time: with many of them the others
    are flattered."""

    cpu: float
    p50: float
    unwritten: float


class _Alone:
    """Sends every command by itself."""

    def __init__(self, batches: Batches) -> None:
        self._send = batches._send

    async def ask(self, command: Command) -> Any:
        [reply] = await self._send([command])
        if isinstance(reply, BaseException):
            raise reply
        return reply


async def cost(options: Options) -> Findings:
    """Every class with every store, by how many calls are under way."""
    findings = Findings("cost")
    async with _stores() as (redis, database):
        measured = await _measure(options, redis, database)
    for (name, klass, callers), readings in measured.items():
        findings.rows.append(
            {
                "records": name,
                "class": klass.value,
                "under way": callers,
                "CPU-s / 10,000 calls": round(statistics.median(r.cpu for r in readings), 2),
                "added p50, ms": round(statistics.median(r.p50 for r in readings) * 1000, 2),
                "not in time, %": round(max(r.unwritten for r in readings) * 100, 1),
            }
        )
    findings.remarks.append(
        "R and I calls ask the records nothing: 0 of both. K: claim and end; N: start as well. "
        "`alone`: the commands of one moment do not share their round trip."
    )
    return findings


Cell = tuple[str, ApiClass, int]


async def _measure(
    options: Options, redis: Redis, database: Database
) -> Mapping[Cell, Sequence[Reading]]:
    measured: dict[Cell, list[Reading]] = {}
    for _ in range(options.rounds):
        for name, place in _PLACES.items():
            records = build_outcomes(place, redis, database, Metrics())
            if name.endswith("alone"):
                records._store._batches = _Alone(records._store._batches)  # type: ignore[attr-defined]
            await records.start()
            for klass in (ApiClass.KEYED, ApiClass.NEITHER):
                for callers in options.callers:
                    await _drive(records, klass, callers, _FEW_SECONDS)
                    reading = await _drive(records, klass, callers, options.seconds)
                    measured.setdefault((name, klass, callers), []).append(reading)
            await records.close()
            await redis.flushdb()
    return measured


_PLACES: Mapping[str, Place] = {
    "redis": "redis",
    "redis, alone": "redis",
    "postgres": "postgres",
}


async def _drive(records: OutcomeRecords, klass: ApiClass, callers: int, seconds: float) -> Reading:
    waits: list[float] = []
    unwritten: list[Question] = []
    until = time.perf_counter() + seconds
    before = time.process_time()
    await asyncio.gather(
        *(_call_on(records, klass, until, waits, unwritten) for _ in range(callers))
    )
    cpu = time.process_time() - before
    calls = len(waits)
    return Reading(cpu * 10_000 / calls, statistics.median(waits), len(unwritten) / calls)


async def _call_on(
    records: OutcomeRecords,
    klass: ApiClass,
    until: float,
    waits: list[float],
    unwritten: list[Question],
) -> None:
    while (began := time.perf_counter()) < until:
        question = Question("default", secrets.token_hex(8), klass, b"f" * 32, redelivered=False)
        claim = await records.claim(question)
        assert isinstance(claim, Claim)
        if not claim.written:
            unwritten.append(question)
        try:
            await records.begin(claim)
        except NotNow:
            unwritten.append(question)
            await records.hand_back(claim, remember=False)
        else:
            await records.complete(claim, END)
        waits.append(time.perf_counter() - began)


@asynccontextmanager
async def _stores() -> AsyncIterator[tuple[Redis, Database]]:
    stack = Stack(LOCAL / f"outcomes-{secrets.token_hex(4)}", given={})
    try:
        await asyncio.to_thread(stack.start, "redis", "postgres")
        database = Database(stack.database_url)
        await database.migrate()
        async with connect(stack.redis_url) as redis:
            yield redis, database
        await database.close()
    finally:
        await asyncio.to_thread(stack.stop)


SCENARIOS: Mapping[str, Scenario[Options]] = {"cost": cost}


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("benchmarks.outcomes", __doc__, SCENARIOS)
    parser.add_argument("--seconds", type=float, default=Options().seconds)
    parser.add_argument("--rounds", type=int, default=Options().rounds)
    parser.add_argument("--callers", type=int, nargs="+", default=list(Options().callers))
    return parser


def main() -> None:
    """Run what the command line names."""
    LOCAL.mkdir(exist_ok=True)
    arguments = parse(_parser(), SCENARIOS)
    options = Options(arguments.seconds, arguments.rounds, tuple(arguments.callers))
    perform(SCENARIOS, arguments, options)


if __name__ == "__main__":
    main()
