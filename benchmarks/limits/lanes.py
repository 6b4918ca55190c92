"""Interactive calls on a bucket that bulk calls saturate for ever."""

from __future__ import annotations

import asyncio
import time

from benchmarks.proof import calls
from benchmarks.proof.ledger import Producer, summary

from . import arena, loads
from .figures import full_windows, per_minute, quantile
from .options import Options
from .report import Findings, at_least, at_most

INTERACTIVE_RATE = 1.0
DEPTH = 1000


async def interactive_over_bulk(options: Options) -> Findings:
    """One interactive call a second among bulk calls without end, on the same bucket."""
    findings = Findings("interactive-over-bulk")
    window = options.longest
    seconds = options.lasting(300)
    quota = window.limit / window.seconds * 60
    rate = INTERACTIVE_RATE * quota / 1000
    limits = {calls.MESSAGES: options.windows}
    async with arena.arena(limits, network=options.network) as fleet:
        await fleet.start_gateways(options.gateways)
        async with (
            Producer(fleet.stack.rabbitmq_url) as bulk,
            Producer(fleet.stack.rabbitmq_url) as interactive,
        ):
            began, offered = time.time(), time.monotonic()
            flood = asyncio.create_task(
                loads.standing(bulk, calls.message, lane="bulk", depth=DEPTH, seconds=seconds)
            )
            lines = await loads.steady(interactive, calls.message, rate=rate, seconds=seconds)
            flooded = await flood
            await interactive.answered(lines, 15)
            sends = await arena.sends(fleet, calls.MESSAGES, began)
    answers = sorted(began + line.answered - offered for line in flooded if line.answered)
    served = per_minute(full_windows(answers, window.seconds, began + seconds), window.seconds)
    later = [line for line in lines if line.offered > offered + window.seconds]
    findings.rows = [
        {
            "what": what,
            "calls": len(some),
            "answered ok": len(loads.waits(some)),
            "p50 s": round(quantile(loads.waits(some), 0.5), 3),
            "p99 s": round(quantile(loads.waits(some), 0.99), 3),
            "slowest s": round(max(loads.waits(some), default=0.0), 3),
        }
        for what, some in (("interactive, all", lines), ("after the first window", later))
    ]
    findings.gates = [
        at_most("interactive p99 s, after the first window", quantile(loads.waits(later), 0.99), 1),
        at_least("bulk a minute, share of the quota", served / quota, 0.85),
        at_most("429s in 10,000 calls", sends.rejected_per_10k, 1),
    ]
    findings.remarks.append(f"bulk answered a minute: {served:.0f}; {summary(lines)['outcomes']}")
    return findings
