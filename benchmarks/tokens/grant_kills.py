"""SIGKILL at each step of a refresh, and whether the next process still has the user's grant."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from typing import Any

from benchmarks.limits.report import Findings, Row, exactly
from benchmarks.proof.fleet import Fleet
from cli.quiet import be_quiet
from gateway.apps import App
from gateway.errors import Refused
from gateway.tokens.grant_registry import GrantRegistry
from gateway.tokens.oauth import Pair, pair_of
from gateway.tokens.token import Credential, Holder

from . import grant_child, ground
from .grant_child import ANSWERED, BEFORE_LEASE, IN_REDIS, LEASED, WRITTEN, Place, open_grants
from .options import Options

KILLS, AT_ONCE = 50, 4
SENT = "request sent, Feishu has not acted"
ACTED = "Feishu has acted, answer on its way"
WINDOW = frozenset({ACTED, ANSWERED})
"""Where the only copy of the next refresh token is on the wire or in the killed process."""
STEPS = (BEFORE_LEASE, LEASED, SENT, ACTED, ANSWERED, IN_REDIS, WRITTEN)
_HELD_MS = 60_000
_FAULTS: Mapping[str, dict[str, Any]] = {
    SENT: {"delay_ms": _HELD_MS, "acts": False, "status": 503},
    ACTED: {"delay_ms": _HELD_MS},
}
_PATIENCE = 20.0


async def grant_kills(options: Options) -> Findings:
    """Kill so many processes at each step, each with a grant of its own; then use the grants."""
    be_quiet()
    findings = Findings("grant-kills")
    kills = options.some_calls(KILLS)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.tokens.grant_child"])
    async with ground.ground() as fleet:
        environment = fleet.stack.environment()
        names = ("DATABASE_URL", "REDIS_URL", "LARK_SERVICE_SECRET_KEY")
        place = Place(*(environment[name] for name in names))
        apps = ground.some_apps(fleet, kills * len(STEPS), "kill")
        async with ground.database(fleet) as (store, keys):
            registry = GrantRegistry(store, keys, actor="benchmark")
            for app in apps:
                await _authorize(fleet, registry, app)
        for number, step in enumerate(STEPS):
            chosen = apps[number * kills : (number + 1) * kills]
            findings.rows.append(await _step(fleet, context, place, step, chosen))
    outside = [row for row in findings.rows if row["killed at"] not in WINDOW]
    findings.gates = [
        exactly("killed processes", _sum(findings.rows, "kills"), kills * len(STEPS)),
        exactly("users thrown out outside of the window", _sum(outside, "thrown out"), 0),
        exactly("spent refresh tokens used outside of it", _sum(outside, "spent used"), 0),
        exactly("refreshes of a user at the same time", _sum(findings.rows, "concurrent"), 0),
    ]
    findings.remarks.append(
        f"The lease is {grant_child.LEASE_SECONDS:g} s here, 30 s in a gateway. In the window only "
        "the killed process, or the wire, has the next refresh token."
    )
    return findings


async def _authorize(fleet: Fleet, registry: GrantRegistry, app: App) -> None:
    secret = app.secret.get_secret_value()
    await fleet.sandbox("apps", {"app_id": app.app_id, "secret": secret})
    given = await fleet.sandbox("grants", {"app_id": app.app_id, "open_id": "ou_1"})
    # Without an access token, so that the first use refreshes.
    pair: Pair = replace(pair_of(given), access_token="", access_seconds=0)
    await registry.put(_credential(app), pair, "user_imported")


async def _step(
    fleet: Fleet, context: ForkServerContext, place: Place, step: str, apps: list[App]
) -> Row:
    before = await fleet.sandbox("oauth")
    door = asyncio.Semaphore(AT_ONCE)

    async def kill(app: App) -> None:
        async with door:
            await _kill(fleet, context, place, step, app)

    await asyncio.gather(*(kill(app) for app in apps))
    async with open_grants(place) as grants:
        ended = await asyncio.gather(
            *(grants.issue(_credential(app), None) for app in apps), return_exceptions=True
        )
    after = await fleet.sandbox("oauth")
    thrown_out = [error for error in ended if isinstance(error, Refused)]
    failed = [error for error in ended if isinstance(error, BaseException)]
    if len(failed) > len(thrown_out):
        raise RuntimeError(f"neither used nor refused: {failed[0]!r}")
    return {
        "killed at": step,
        "kills": len(apps),
        "thrown out": len(thrown_out),
        "refreshed": after["refreshed"] - before["refreshed"],
        "spent used": after["spent_used"] - before["spent_used"],
        "concurrent": after["concurrent"] - before["concurrent"],
    }


async def _kill(
    fleet: Fleet, context: ForkServerContext, place: Place, step: str, app: App
) -> None:
    """Start a process, wait until it stands at the step, and kill it."""
    if step in _FAULTS:
        await fleet.sandbox("faults", {"app_id": app.app_id, **_FAULTS[step]})
    ours, theirs = context.Pipe()
    child = context.Process(target=grant_child.refresh, args=(place, app, "ou_1", step, theirs))
    child.start()
    theirs.close()
    try:
        async with asyncio.timeout(_PATIENCE):
            while not await _stands(fleet, step, app, ours.poll):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        child.kill()
        await asyncio.to_thread(child.join)
        ours.close()


async def _stands(fleet: Fleet, step: str, app: App, told: Any) -> bool:
    if step not in _FAULTS:
        return bool(told())
    return bool((await fleet.sandbox("ledger", app_id=app.app_id))["entries"])


def _credential(app: App) -> Credential:
    return Credential.of(app, Holder("user", "ou_1"))


def _sum(rows: list[Row], name: str) -> int:
    return sum(int(row[name] or 0) for row in rows)
