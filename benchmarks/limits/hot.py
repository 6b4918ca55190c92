"""One API of five calls a second gets far more: what all other calls notice of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.proof import calls
from benchmarks.proof.ledger import Line, Producer, summary

from . import arena, loads
from .figures import full_windows, quantile
from .options import Options
from .report import Findings, Row, at_least, at_most

LIMITS = {calls.USERS: arena.WIDE, calls.MESSAGES: arena.WIDE, calls.READ_DOCUMENTS: "5/1"}
HOT_RATE, OTHER_RATE = 20.0, 80.0
HOT_LIMIT = 5
BACKLOG = 50_000
BACKLOG_RATE = 40.0
ANSWER_MS = 50.0
_SPAN_SECONDS = 10


def _other() -> dict[str, Any]:
    return random.choice((calls.read_user, calls.message))()


async def hot_api(options: Options) -> Findings:
    """20 of 100 calls a second go to the hot API; before that, the other 80 go alone."""
    findings = Findings("hot-api")
    seconds = options.lasting(60)
    async with arena.arena(LIMITS, answer_ms=ANSWER_MS) as fleet:
        await fleet.start_gateways(options.gateways)
        async with Producer(fleet.stack.rabbitmq_url) as producer:
            await loads.steady(producer, _other, rate=OTHER_RATE, seconds=3)
            alone = await _others(producer, seconds)
            crowd = asyncio.create_task(
                loads.steady(producer, calls.read_document, rate=HOT_RATE, seconds=seconds)
            )
            beside = await _others(producer, seconds)
            hot = await crowd
            sends = await arena.sends(fleet, calls.READ_DOCUMENTS)
    for what, lines in (("others alone", alone), ("others beside it", beside), ("hot API", hot)):
        findings.rows.append(_row(what, lines, seconds))
    usual, meanwhile = (quantile(loads.waits(lines), 0.99) for lines in (alone, beside))
    served = len(loads.waits(beside)) / len(beside)
    findings.gates = [
        at_least("others served, share of demand", served, 0.98),
        at_most("others' p99 against alone", meanwhile / usual, 1.2),
        at_most("429s of the hot API", len(sends.rejected), 0),
    ]
    return findings


async def _others(producer: Producer, seconds: float) -> list[Line]:
    lines = await loads.steady(producer, _other, rate=OTHER_RATE, seconds=seconds)
    await producer.answered(lines, 10)
    return lines


def _row(what: str, lines: Sequence[Line], seconds: float) -> Row:
    waits = loads.waits(list(lines))
    return {
        "what": what,
        "offered/s": round(len(lines) / seconds, 1),
        "answered ok/s": round(len(waits) / seconds, 1),
        "p50 s": round(quantile(waits, 0.5), 3),
        "p99 s": round(quantile(waits, 0.99), 3),
        "outcomes": str(summary(lines)["outcomes"]),
    }


async def hot_backlog(options: Options) -> Findings:
    """50,000 bulk calls of the hot API wait in the broker when the gateways start."""
    findings = Findings("hot-backlog")
    seconds = options.lasting(60)
    async with (
        arena.arena(LIMITS, answer_ms=ANSWER_MS) as fleet,
        Producer(fleet.stack.rabbitmq_url) as producer,
    ):
        gateways = await fleet.start_gateways(options.gateways)
        await loads.steady(producer, _other, rate=BACKLOG_RATE, seconds=3)
        idle = await loads.steady(producer, _other, rate=BACKLOG_RATE, seconds=seconds / 2)
        await producer.answered(idle, 10)
        await asyncio.gather(*(gateway.terminate() for gateway in gateways))
        bodies = loads.many(calls.read_document, BACKLOG)
        hot = await producer.publish(bodies, lane="bulk", seconds=86_000)
        began = time.time()
        draining = asyncio.create_task(arena.emptied(fleet, "bulk"))
        await fleet.start_gateways(options.gateways)
        ready, offset = time.time(), time.time() - time.monotonic()
        beside = await loads.steady(producer, _other, rate=BACKLOG_RATE, seconds=seconds)
        await producer.answered(beside, 10)
        if not draining.done():
            findings.remarks.append("The lane's queue was not empty when the load ended.")
        emptied = await draining
        queues = await fleet.queues()
        sends = await arena.sends(fleet, calls.READ_DOCUMENTS, began)
    shares = full_windows(sends.accepted, _SPAN_SECONDS, time.time())
    quota = HOT_LIMIT * _SPAN_SECONDS
    findings.rows = [
        _row("idle", idle, seconds / 2),
        _row("over the backlog", beside, seconds),
        _after(beside, ready + seconds if emptied is None else emptied, ready + seconds, offset),
        {"what": "hot API", "outcomes": str(summary(hot)["outcomes"])},
    ]
    usual, meanwhile = (quantile(loads.waits(lines), 0.99) for lines in (idle, beside))
    findings.gates = [
        at_most("interactive p99 against idle", meanwhile / usual, 1.5),
        at_least("hot API's quota used, poorest 10 s", min(shares, default=0) / quota, 0.97),
        at_most("429s of the hot API", len(sends.rejected), 0),
    ]
    findings.remarks += [
        f"The lane's queue was empty after {emptied - ready if emptied else float('nan'):.0f} s.",
        f"Accepted of the hot API in each 10 s: {shares}",
        "A call that is lost here has no answer yet.",
        f"Messages in queues at the end: { {n: m for n, m in queues.items() if m} }",
    ]
    return findings


def _after(lines: list[Line], begin: float, end: float, offset: float) -> Row:
    """What was offered between two Unix times, when all of the backlog had been moved."""
    later = [line for line in lines if line.offered + offset >= begin]
    return _row("the lane's queue empty", later, max(1.0, end - begin))
