"""Tokens revoked at random amid the calls that carry them."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Any

from benchmarks.limits.report import Findings, at_most, exactly
from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Line, Producer, summary

from . import ground
from .options import Options

APPS, CALLS = 19, 100_000
EVERY_SECONDS = 0.05
_DEPTH = 400
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
        seconds = time.monotonic() - began
        revocations = (await asyncio.gather(revoking, return_exceptions=True))[0]
        assert isinstance(revocations, Counter)
        requests = await ground.token_requests(fleet)
        rejected = await ground.metric(gateways, "lark_service_token_invalidations_total")
        alive = sum(gateway.alive for gateway in gateways)
    figures = summary(lines)
    failed = len(lines) - figures["outcomes"].get("ok", 0)
    extra = requests.total() - len(aliases)
    findings.rows.append(
        {
            "apps": len(aliases),
            "processes": len(gateways),
            "calls": len(lines),
            "calls/s": round(len(lines) / seconds),
            "not ok": failed,
            "revoked tokens": revocations.total(),
            "rejections noticed": int(rejected.total()),
            "token requests more": extra,
            "for each revoked": round(extra / max(1, revocations.total()), 3),
            "p50 s": figures["p50_s"],
            "p99 s": figures["p99_s"],
            "slowest s": figures["slowest_s"],
        }
    )
    findings.gates = [
        exactly("calls answered with an error", failed, 0),
        at_most("token requests for each token revoked", extra / max(1, revocations.total()), 1),
        exactly("processes that live on", alive, len(gateways)),
    ]
    findings.remarks.append(f"Outcomes: {figures['outcomes']}; errors: {errors_of(lines)}")
    return findings


async def revoke(fleet: Fleet, app_ids: list[str]) -> Counter[str]:
    """Revoke until cancelled, and say how many tokens of each app that were."""
    random_, counted = random.Random(1), Counter[str]()
    try:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            app_id = random_.choice(app_ids)
            counted[app_id] += (await fleet.sandbox("revoke", {"app_id": app_id}))["revoked"]
    except asyncio.CancelledError:
        return counted


async def standing(producer: Producer, aliases: list[str], count: int) -> list[Line]:
    """So many calls of all apps in turn, as fast as they are answered."""
    tasks: list[asyncio.Task[Line]] = []
    for number in range(count):
        while producer.waiting >= _DEPTH:  # noqa: ASYNC110  answers come by the thousand
            await asyncio.sleep(0.005)
        alias = aliases[number % len(aliases)]
        tasks.append(asyncio.create_task(producer.call(calls.read_user(), app=alias)))
        # Published one after the other: the next look at who waits counts this one.
        await asyncio.sleep(0)
    return list(await asyncio.gather(*tasks))


def errors_of(lines: list[Line]) -> dict[str, int]:
    """How many calls ended in each error, by its type and Feishu's code."""
    errors: Counter[str] = Counter()
    for line in lines:
        error: dict[str, Any] | None = line.replies[0]["error"] if line.replies else None
        if error is not None:
            errors[f"{error['type']} {error.get('code', '')}".strip()] += 1
    return dict(errors)
