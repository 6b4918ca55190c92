"""One producer with a mountain, nine with a trickle, on one bucket."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from benchmarks.proof import calls
from benchmarks.proof.ledger import Line, Producer, summary
from schemas.names import Lane

from . import arena, loads
from .figures import fair_shares, jain, quantile
from .options import Options
from .report import Findings, Row, at_least, at_most

LIMIT = 50
BACKLOG = 10_000
SMALL = 9
SMALL_RATE = 1.0


async def fairness(options: Options) -> Findings:
    """Each has a RabbitMQ user of its own; in either lane the small ones wait for nobody."""
    findings = Findings("fairness")
    for lane in options.lanes:
        await _in_lane(options, lane, findings)
    findings.remarks.append(
        f"{BACKLOG:,} calls of one producer are queued before the gateways start; {SMALL} others "
        f"call {SMALL_RATE:g}/s each; the bucket takes {LIMIT}/s. What the large one demanded "
        "counts as what the small ones leave."
    )
    return findings


async def _in_lane(options: Options, lane: Lane, findings: Findings) -> None:
    seconds = options.lasting(60)
    async with (
        arena.arena({calls.MESSAGES: f"{LIMIT}/1"}) as fleet,
        AsyncExitStack() as stack,
    ):
        urls = await fleet.add_producers(1 + SMALL)
        large, *small = [await stack.enter_async_context(Producer(url)) for url in urls]
        await fleet.start_gateway()
        await fleet.kill_gateways()
        await large.publish(loads.many(calls.message, BACKLOG), lane=lane, seconds=3600)
        await fleet.start_gateways(options.gateways)
        began = time.monotonic()
        draining = asyncio.create_task(arena.emptied(fleet, lane))
        trickles = await asyncio.gather(
            *(
                loads.steady(each, calls.message, rate=SMALL_RATE, seconds=seconds, lane=lane)
                for each in small
            )
        )
        ended = time.monotonic()
        served = [_served(producer, began, ended) for producer in (large, *small)]
        for producer, trickle in zip(small, trickles, strict=True):
            await producer.answered(trickle, 15)
        sends = await arena.sends(fleet, calls.MESSAGES)
        emptied = await draining or float("inf")
    drained = emptied - time.time() + time.monotonic()
    wanted = [BACKLOG, *(len(trickle) for trickle in trickles)]
    fair = fair_shares([float(each) for each in wanted], LIMIT * (ended - began))
    index = jain([got / due for got, due in zip(served, fair, strict=True)])
    lines = [line for trickle in trickles for line in trickle]
    later = [line for line in lines if line.offered >= drained]
    findings.rows += [
        _row(f"{lane}, from the start", lines, began, ended, served, index),
        _row(f"{lane}, backlog moved", later, max(began, drained), ended, served, index),
    ]
    findings.remarks.append(
        f"{lane}: the backlog had left the lane's queue after {drained - began:.1f} s; "
        f"429s: {len(sends.rejected)}."
    )
    waits, failed = loads.waits(later), sum(line.outcome != "ok" for line in lines)
    findings.gates += [
        at_most(f"{lane}: small producers' p99 s, backlog moved", quantile(waits, 0.99), 2),
        at_least(f"{lane}: Jain's index of served over demanded", index, 0.95),
        at_most(f"{lane}: small producers' calls that failed", failed, 0),
    ]


def _row(
    what: str, lines: list[Line], began: float, ended: float, served: list[int], index: float
) -> Row:
    waits = loads.waits(lines)
    return {
        "what": what,
        "seconds": round(ended - began, 1),
        "large served": served[0],
        "small served": sum(served[1:]),
        "small calls": len(lines),
        "small p50 s": round(quantile(waits, 0.5), 3),
        "small p99 s": round(quantile(waits, 0.99), 3),
        "small slowest s": round(max(waits, default=0.0), 3),
        "outcomes": str(summary(lines)["outcomes"]),
        "Jain": round(index, 4),
    }


def _served(producer: Producer, began: float, ended: float) -> int:
    answered = (line.answered for line in producer.lines.values() if line.outcome == "ok")
    return sum(began <= at < ended for at in answered if at is not None)
