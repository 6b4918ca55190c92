"""No token anywhere, and every process asked for all of them at once."""

from __future__ import annotations

import asyncio
import time

from benchmarks.limits.report import Findings, at_most, exactly
from benchmarks.proof import calls
from benchmarks.proof.ledger import Line, Producer, summary
from sandbox.feishu.options import DEFAULT_APP_ID

from . import ground
from .options import Options

CALLS = 20
_PATIENCE = 120.0


async def cold(options: Options) -> Findings:
    """Calls of every app wait in its queue when all processes start: one token request each."""
    findings = Findings("cold")
    async with ground.ground() as fleet, Producer(fleet.stack.rabbitmq_url) as producer:
        gateways = await fleet.start_gateways(options.gateways)
        began = time.monotonic()
        lines = await _offered(producer, ["default"], options.some_calls(CALLS))
        await producer.answered(lines, _PATIENCE)
        ended = max((line.answered or time.monotonic()) for line in lines)
        requests = await ground.token_requests(fleet)
    figures = summary(lines)
    failed = len(lines) - figures["outcomes"].get("ok", 0)
    findings.rows.append(
        {
            "credentials": 1,
            "processes": len(gateways),
            "calls": len(lines),
            "not ok": failed,
            "token requests": requests.total(),
            "most for one": max(requests.values()),
            "p50 s": figures["p50_s"],
            "p99 s": figures["p99_s"],
            "all answered after s": round(ended - began, 2),
        }
    )
    findings.gates = [
        exactly("calls not answered ok", failed, 0),
        exactly("credentials without a token request", DEFAULT_APP_ID not in requests, 0),
        at_most("token requests of one credential", max(requests.values()), 1),
    ]
    return findings


async def _offered(producer: Producer, aliases: list[str], count: int) -> list[Line]:
    bodies = ((alias, calls.read_user()) for _ in range(count) for alias in aliases)
    return await asyncio.gather(*(producer.call(body, app=alias) for alias, body in bodies))
