"""More demand than a bucket takes, under each model of Feishu's windows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Producer
from sandbox.feishu.limits import WindowModel
from schemas.names import Lane

from . import arena, beside, loads
from .alternatives.table import ALTERNATIVES
from .figures import Sends, full_windows, most_in, per_minute
from .options import Options
from .report import Findings, Gate, Row, at_least, at_most

DEPTH = 300
"""Calls waiting at any time: several times what all gateways keep in hand."""


async def saturated(options: Options) -> Findings:
    """The gateway in both lanes, then the alternatives, each under all models at once."""
    findings = Findings("saturated")
    seconds = options.lasting(900)
    for lane in options.lanes if options.gateways else ():
        run = partial(_gateway, options, seconds, lane)
        for model, sends in await _under_each(options.models, run):
            row = _told(_row(f"gateway, {lane}", model, sends, seconds, options))
            findings.rows.append(row)
            findings.gates += _gates(row, options)
    findings.rows += await _alternatives(options)
    findings.remarks.append(
        f"{options.gateways} processes each; {options.windows} at Feishu and in the site's "
        f"limits; requests travel {options.network[0]:g} to {options.network[1]:g} ms. A minute's "
        "figure counts windows that were over only; 'least' is the poorest of them."
    )
    return findings


async def _under_each(
    models: Iterable[WindowModel], run: Callable[[WindowModel], Awaitable[Sends]]
) -> list[tuple[WindowModel, Sends]]:
    models = tuple(models)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_awaited(run(model))) for model in models]
    return [(model, task.result()) for model, task in zip(models, tasks, strict=True)]


async def _awaited(result: Awaitable[Sends]) -> Sends:
    return await result


async def _gateway(options: Options, seconds: float, lane: Lane, model: WindowModel) -> Sends:
    limits = {calls.MESSAGES: options.windows}
    async with arena.arena(limits, model=model, network=options.network) as fleet:
        await fleet.start_gateways(options.gateways)
        async with Producer(fleet.stack.rabbitmq_url) as producer:
            await loads.standing(producer, calls.message, lane=lane, depth=DEPTH, seconds=seconds)
            return await arena.sends(fleet, calls.MESSAGES)


async def _alternatives(options: Options) -> list[Row]:
    names = [n for n in ALTERNATIVES if options.alternatives is None or n in options.alternatives]
    if not names:
        return []
    limits = {calls.MESSAGES: options.windows}
    rows: list[Row] = []
    arenas = {
        model: arena.arena(limits, model=model, network=options.network) for model in options.models
    }
    fleets: dict[WindowModel, Fleet] = {}
    try:
        for model, each in arenas.items():
            fleets[model] = await each.__aenter__()
        for name in names:
            rows += await _alternative(fleets, name, options)
    finally:
        for model in fleets:
            await arenas[model].__aexit__(None, None, None)
    return rows


async def _alternative(fleets: dict[WindowModel, Fleet], name: str, options: Options) -> list[Row]:
    async def run(model: WindowModel) -> Sends:
        return await beside.run(fleets[model], name, options)

    together = [(m,) for m in fleets] if ALTERNATIVES[name].heavy else [tuple(fleets)]
    return [
        _told(_row(name, model, sends, options.alternative_seconds, options))
        for models in together
        for model, sends in await _under_each(models, run)
    ]


def _told(row: Row) -> Row:
    """Say on standard error what was found, since the table takes its time."""
    print("  ".join(f"{name}: {cell}" for name, cell in row.items()), file=sys.stderr, flush=True)
    return row


def _row(what: str, model: WindowModel, sends: Sends, seconds: float, options: Options) -> Row:
    longest = options.longest.seconds
    everything = sends.all
    until = everything[0] + seconds if everything else 0.0
    windows = full_windows(sends.accepted, longest, until)
    return {
        "what": what,
        "model": model.value,
        "seconds": round(seconds),
        "accepted/min": round(per_minute(windows, longest), 1),
        "least": round(min(windows, default=0) / longest * 60, 1),
        "429s": len(sends.rejected),
        "429s/10k": round(sends.rejected_per_10k, 1),
        f"most in {longest} s": most_in(sends.accepted, longest),
        "most in 1 s": most_in(sends.accepted, 1),
    }


def _gates(row: Row, options: Options) -> list[Gate]:
    name = f"{row['what']}, {row['model']}"
    quota = options.longest.limit / options.longest.seconds * 60
    return [
        at_least(f"{name}: accepted a minute", _number(row["accepted/min"]), 0.99 * quota),
        at_least(f"{name}: in the poorest minute", _number(row["least"]), 0.99 * quota),
        at_most(f"{name}: 429s in 10,000 calls", _number(row["429s/10k"]), 1),
    ]


def _number(cell: object) -> float:
    assert isinstance(cell, int | float)
    return float(cell)
