"""No token anywhere, and every process asked for all of them at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.limits.report import Findings, at_most, exactly
from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Line, Producer, batches
from gateway.apps import AppKind

from . import ground
from .loads import failures
from .options import Options

APPS, TENANTS, CALLS = 99, 900, 20
_AT_ONCE = 500
_PATIENCE = 300.0


async def cold(options: Options) -> Findings:
    """Calls of every credential are queued when all processes start: one token request each.

    Most credentials are tenants of one store app, since every app has queues of its own.
    """
    findings = Findings("cold")
    async with ground.ground() as fleet, Producer(fleet.stack.rabbitmq_url) as producer:
        aliases, tenants = await _credentials(fleet, options)
        # The queues must be there before the calls; no token is fetched without a call.
        await fleet.start_gateway()
        await fleet.kill_gateways()
        bodies = list(_bodies(aliases, tenants, options.some_calls(CALLS)))
        lines = await _queued(producer, bodies)
        began = time.monotonic()
        gateways = await fleet.start_gateways(options.gateways)
        await producer.answered(lines, _PATIENCE)
        requests = await ground.token_requests(fleet)
        hits = await ground.metric(gateways, "lark_service_token_cache_hits_total")
        retries = await ground.metric(gateways, "lark_service_db_retries_total")
    expected = len(aliases) + len(tenants) + bool(tenants)
    failed, most = failures(lines).total(), max(requests.values(), default=0)
    answers = [line.answered - began for line in lines if line.answered]
    findings.rows.append(
        {"credentials": expected, "processes": len(gateways), "calls": len(lines)}
        | {"not ok": failed, "token requests": requests.total(), "most for one": most}
        | {"first answer after s": round(min(answers), 2)}
        | {"last answer after s": round(max(answers), 2)}
        | {f"found in {layer}": int(count) for (layer,), count in hits.items()}
        | {"statements again": int(retries.total())}
    )
    findings.gates = [
        exactly("calls not answered ok", failed, 0),
        exactly("credentials that were asked for", len(requests), expected),
        at_most("token requests of one credential", most, 1),
    ]
    findings.remarks.append(f"Errors: {dict(failures(lines))}")
    return findings


async def _credentials(fleet: Fleet, options: Options) -> tuple[list[str], list[str]]:
    apps = ground.some_apps(fleet, options.some_apps(APPS))
    tenants = [f"tenant-{number:04}" for number in range(options.some_tenants(TENANTS))]
    shops = ground.some_apps(fleet, bool(tenants), "shop", AppKind.STORE)
    await ground.add_apps(fleet, [*apps, *shops])
    return ["default", *(app.alias for app in apps)], tenants


def _bodies(
    aliases: list[str], tenants: list[str], count: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls of all in turn, so that every credential is wanted early."""
    for _ in range(count):
        for alias in aliases:
            yield alias, calls.read_user()
        for tenant in tenants:
            yield "shop-0000", calls.read_user() | {"as": {"tenant": tenant}}


async def _queued(producer: Producer, bodies: list[tuple[str, dict[str, Any]]]) -> list[Line]:
    lines: list[Line] = []
    for batch in batches(bodies, _AT_ONCE):
        published = (producer.call(body, app=alias, seconds=3600) for alias, body in batch)
        lines += await asyncio.gather(*published)
    return lines
