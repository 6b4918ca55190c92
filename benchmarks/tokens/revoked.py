"""Tokens revoked at random amid the calls that carry them."""

from __future__ import annotations

import asyncio
import time

from benchmarks.limits.report import Findings, at_most, exactly
from benchmarks.proof.ledger import Producer, summary

from . import ground
from .loads import failures, revoke, standing
from .options import Options

APPS, CALLS = 19, 100_000
_PATIENCE = 120.0


async def revoked(options: Options) -> Findings:
    """Every 50 ms the token of an app drawn at random is revoked; no call is to notice."""
    findings = Findings("revoked")
    async with ground.ground() as fleet, Producer(fleet.stack.rabbitmq_url) as producer:
        apps = ground.some_apps(fleet, options.some_apps(APPS))
        await ground.add_apps(fleet, apps)
        gateways = await fleet.start_gateways(options.gateways)
        aliases = ["default", *(app.alias for app in apps)]
        revoking = asyncio.create_task(revoke(fleet, [app.app_id for app in apps]))
        began = time.monotonic()
        try:
            lines = await standing(producer, aliases, options.some_calls(CALLS))
            await producer.answered(lines, _PATIENCE)
        finally:
            revoking.cancel()
        seconds, tokens = time.monotonic() - began, await revoking
        requests = (await ground.token_requests(fleet)).total() - len(aliases)
        rejected = await ground.metric(gateways, "lark_service_token_invalidations_total")
        alive = sum(gateway.alive for gateway in gateways)
    figures, failed = summary(lines), failures(lines)
    findings.rows.append(
        {"apps": len(aliases), "processes": len(gateways), "calls": len(lines)}
        | {"calls/s": round(len(lines) / seconds), "not ok": failed.total()}
        | {"tokens revoked": tokens, "rejections noticed": int(rejected.total())}
        | {"more token requests": requests, "for each revoked": round(requests / max(1, tokens), 3)}
        | {name.replace("_", " "): figures[name] for name in ("p50_s", "p99_s", "slowest_s")}
    )
    findings.gates = [
        exactly("calls answered with an error", failed.total(), 0),
        at_most("token requests for each token revoked", requests / max(1, tokens), 1),
        exactly("processes that live on", alive, len(gateways)),
    ]
    findings.remarks.append(f"Errors: {dict(failed)}")
    return findings
