"""Several apps under one alias: the quotas of all, and one of them broken in between."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.limits.report import Findings, Row, at_least, exactly
from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Line, Producer
from gateway.apps import App
from gateway.pool_store import PoolStore

from . import ground
from .options import Options

APPS, SECONDS = 3, 30.0
RATE = 5
"""Calls a second that Feishu takes of each app: it documents so for the API that is called."""
_DEPTH = 60
_LEAD_IN = 3.0
_PATIENCE = 60.0


async def pools(options: Options) -> Findings:
    """A pool is called as fast as it answers; half-way the secret of one app becomes wrong."""
    findings = Findings("pools")
    half = options.lasting(SECONDS) / 2
    async with Fleet() as fleet, Producer(fleet.stack.rabbitmq_url) as producer:
        apps = ground.some_apps(fleet, options.some_apps(APPS))
        await ground.add_apps(fleet, apps)
        async with ground.database(fleet) as (database, _):
            await PoolStore(database, actor="benchmark").add("all", [app.alias for app in apps])
        gateways = await fleet.start_gateways(options.gateways)
        began, lines = time.monotonic(), []
        calling = asyncio.create_task(_standing(producer, lines, _LEAD_IN + 2 * half))
        await asyncio.sleep(_LEAD_IN + half)
        broken = time.monotonic()
        await _break(fleet, apps[0])
        await calling
        ended = time.monotonic()
        await producer.answered(lines, _PATIENCE)
        refused = await ground.metric(gateways, "lark_service_limit_rejections_total")
    whole = _row("all work", lines, began + _LEAD_IN, broken)
    rest = _row("one is broken", lines, broken, ended)
    findings.rows = [whole, rest]
    failed = Counter(line.outcome for line in lines if line.outcome != "ok")
    findings.gates = [
        exactly("calls that failed", failed.total(), 0),
        at_least(f"calls/s of {len(apps)} apps", _rate(whole), 0.85 * RATE * len(apps)),
        at_least(f"calls/s of {len(apps) - 1} apps", _rate(rest), 0.8 * RATE * (len(apps) - 1)),
    ]
    findings.remarks = [
        f"{len(gateways)} processes; {RATE}/s of each app; {len(lines)} calls in all, of which "
        f"{_DEPTH} are always unanswered; {int(refused.total())} refused by a limit of Feishu's; "
        f"failed: {dict(failed)}"
    ]
    return findings


async def _standing(producer: Producer, lines: list[Line], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if producer.waiting < _DEPTH:
            lines.append(await producer.call(calls.read_document(), app="all", seconds=600))
        else:
            await asyncio.sleep(0.01)


async def _break(fleet: Fleet, app: App) -> None:
    await fleet.sandbox("apps", {"app_id": app.app_id, "secret": "another"})
    await fleet.sandbox("revoke", {"app_id": app.app_id})


def _row(when: str, lines: Sequence[Line], since: float, until: float) -> Row:
    within = [line for line in lines if line.answered and since <= line.answered < until]
    served = Counter(line.replies[0]["meta"]["app"] for line in within if line.outcome == "ok")
    return {
        "when": when,
        "s": round(until - since, 1),
        "calls/s": round(served.total() / (until - since), 2),
        "not ok": sum(line.outcome != "ok" for line in within),
        **{f"by {alias}": count for alias, count in sorted(served.items())},
    }


def _rate(row: Row) -> float:
    rate = row["calls/s"]
    assert isinstance(rate, float)
    return rate
