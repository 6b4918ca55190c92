"""One run from the first server to the verdict."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.checker import check
from tests.chaos.faults import Nemesis
from tests.chaos.findings import Finding
from tests.chaos.ledger import Record
from tests.chaos.nemesis import Strike
from tests.chaos.profiles import Shape
from tests.chaos.report import report
from tests.chaos.rest import drain, look_through
from tests.chaos.world import opened_world

_WARM_UP_SECONDS = 1.0


async def run(shape: Shape, seed: int, folder: Path) -> tuple[list[Finding], dict[str, Any]]:
    """Work and break a world; returns what was broken of its promises, and all figures."""
    began = time.monotonic()
    strikes = shape.strikes(seed)
    _prepare(folder, strikes)
    async with opened_world(folder, seed, shape.gateways, shape.settings) as world:
        struck = asyncio.Event()
        offering = asyncio.create_task(world.offer(shape.load, struck))
        await asyncio.sleep(_WARM_UP_SECONDS)
        await Nemesis(world).strike_all(strikes)
        struck.set()
        await offering
        worked = time.monotonic() - began
        await drain(world, shape.drain)
        await look_through(world)
    record = Record.read(folder)
    findings = check(record)
    about = {
        "profile": shape.name,
        "seed": seed,
        "gateways": shape.gateways,
        "rate": shape.load.rate,
        "seconds": {"until_drain": round(worked), "all": round(time.monotonic() - began)},
    }
    return findings, report(record, findings, about)


def _prepare(folder: Path, strikes: Sequence[Strike]) -> None:
    folder.mkdir(parents=True)
    # Servers may run under an account of their own that has to pass through to their data.
    for each in (folder, folder.parent):
        each.chmod(0o711)
    schedule = [asdict(strike) for strike in strikes]
    (folder / "schedule.json").write_text(json.dumps(schedule, indent=1), encoding="utf-8")
