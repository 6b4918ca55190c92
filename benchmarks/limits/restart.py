"""Every gateway dies while overflow queues are full."""

from __future__ import annotations

import asyncio
import time

from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Producer, summary

from . import arena, loads
from .options import Options
from .report import Findings, at_least, at_most, exactly

BACKLOG = 25_000
LIMIT = 100
MOVED_SHARE = 0.8
"""The gateways are killed when so many of the calls wait in overflow queues."""
_MOVE_SECONDS = 150.0
_EMPTY_SECONDS = 30.0


async def restart(options: Options) -> Findings:
    """SIGKILL to all, a start anew: every call answered once, nothing left in any queue."""
    findings = Findings("restart")
    backlog = int(options.lasting(BACKLOG / LIMIT) * LIMIT)
    async with (
        arena.arena({calls.MESSAGES: f"{LIMIT}/1"}) as fleet,
        Producer(fleet.stack.rabbitmq_url) as producer,
    ):
        await fleet.start_gateway()
        await fleet.kill_gateways()
        lines = await producer.publish(
            loads.many(calls.message, backlog), lane="bulk", seconds=3600
        )
        await fleet.start_gateways(options.gateways)
        moved = await _moved(fleet, backlog)
        await fleet.kill_gateways()
        waiting = {name: count for name, count in (await fleet.queues()).items() if count}
        killed = time.monotonic()
        await fleet.start_gateways(options.gateways)
        first = await _first_answer(producer)
        await producer.answered(lines, backlog / LIMIT * 3 + 60)
        ended = time.monotonic()
        left = await _left(fleet)
        emptied = time.monotonic()
        repeated = await fleet.sandbox("effects", repeated="1")
        sends = await arena.sends(fleet, calls.MESSAGES)
    figures = summary(lines)
    findings.rows.append(
        {
            "calls": backlog,
            "in overflow at the kill": moved,
            "answered ok": figures["outcomes"].get("ok", 0),
            "answered twice": figures["answered_twice"],
            "conflicting": figures["conflicting"],
            "first answer after s": round(first - killed, 1),
            "all after s": round(ended - killed, 1),
            "queues empty after s": round(emptied - killed, 1),
            "left in queues": sum(left.values()),
            "sent": len(sends.all),
            "429s": len(sends.rejected),
        }
    )
    findings.gates = [
        at_least("share of calls in overflow at the kill", moved / backlog, MOVED_SHARE),
        exactly("calls not answered ok", backlog - figures["outcomes"].get("ok", 0), 0),
        exactly("conflicting answers", figures["conflicting"], 0),
        exactly("effects above one", len(repeated), 0),
        exactly("messages left in queues", sum(left.values()), 0),
        at_most("429s in 10,000 calls", sends.rejected_per_10k, 1),
    ]
    findings.remarks += [f"Queues at the kill: {waiting}", f"Queues at the end: {left}"]
    return findings


async def _moved(fleet: Fleet, backlog: int) -> int:
    """Wait until most calls wait in overflow queues, or a while; say how many do."""
    until = time.monotonic() + _MOVE_SECONDS
    moved = 0
    while time.monotonic() < until and moved < MOVED_SHARE * backlog:
        queues = await fleet.queues()
        moved = sum(count for name, count in queues.items() if name.startswith("lark.overflow."))
    return moved


async def _left(fleet: Fleet) -> dict[str, int]:
    """What is still queued when nothing is, or after a while: copies of answered calls."""
    until = time.monotonic() + _EMPTY_SECONDS
    while left := {name: count for name, count in (await fleet.queues()).items() if count}:
        if time.monotonic() > until:
            break
    return left


async def _first_answer(producer: Producer) -> float:
    before = producer.waiting
    until = time.monotonic() + 60
    while producer.waiting == before and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return time.monotonic()
