"""Many users whose tokens live for seconds, called by all processes, which are killed later on."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import SecretStr

from benchmarks.limits.report import Findings, Row, at_least, exactly
from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Line, Producer, summary
from gateway.apps import DEFAULT_ALIAS, App
from gateway.tokens.grant_registry import GrantRegistry
from gateway.tokens.grant_rows import Listed
from gateway.tokens.oauth import pair_of
from gateway.tokens.token import Credential, Holder
from sandbox.feishu.options import DEFAULT_APP_ID, DEFAULT_SECRET

from . import ground
from .options import Options

USERS, SECONDS, RATE, LIFE = 200, 60.0, 40.0, 16.0
_KILL_EVERY = 3.0
_PATIENCE = 60.0


async def grants(options: Options) -> Findings:
    """Refreshes of 200 users by four processes, steadily, then with a process killed every 3 s."""
    findings = Findings("grants")
    seconds = options.lasting(SECONDS)
    async with ground.ground() as fleet, Producer(fleet.stack.rabbitmq_url) as producer:
        await fleet.sandbox("oauth", {"life": LIFE})
        users = [f"ou_{number:04}" for number in range(USERS)]
        await _authorize(fleet, users)
        await fleet.start_gateways(options.gateways)
        steady = await _phase(fleet, producer, users, seconds)
        killer = asyncio.create_task(_kill(fleet))
        try:
            killed = await _phase(fleet, producer, users, seconds)
        finally:
            killer.cancel()
            with suppress(asyncio.CancelledError):
                await killer
        gone = [grant for grant in await _listed(fleet) if grant.state == "reauth_required"]
    findings.rows += [{"phase": "steady"} | steady, {"phase": "killed"} | killed]
    unexplained = sum(not grant.doubtful for grant in gone)
    findings.gates = [
        exactly("refreshes of a user at the same time", _sum(steady, killed, "concurrent"), 0),
        exactly("spent refresh tokens used, steady", _of(steady, "spent used"), 0),
        exactly("users thrown out, steady", _of(steady, "thrown out"), 0),
        exactly("calls not answered ok, steady", _of(steady, "not ok"), 0),
        exactly("users thrown out without an answer that was lost", unexplained, 0),
        at_least("refreshes, steady", _of(steady, "refreshed"), USERS),
    ]
    findings.remarks.append(
        f"{USERS} users, access tokens of {LIFE:g} s, {RATE:g} calls a second, "
        f"{options.gateways} processes; killed: SIGKILL of one every {_KILL_EVERY:g} s."
    )
    return findings


async def _authorize(fleet: Fleet, users: list[str]) -> None:
    app = App(DEFAULT_ALIAS, DEFAULT_APP_ID, SecretStr(DEFAULT_SECRET), fleet.sandbox_url)
    async with ground.database(fleet) as (store, keys):
        registry = GrantRegistry(store, keys, actor="benchmark")
        for user in users:
            given = await fleet.sandbox("grants", {"app_id": app.app_id, "open_id": user})
            credential = Credential.of(app, Holder("user", user))
            await registry.put(credential, pair_of(given), "user_imported")


async def _phase(fleet: Fleet, producer: Producer, users: list[str], seconds: float) -> Row:
    before, out = await fleet.sandbox("oauth"), len(await _gone(fleet))
    lines = await _calls(producer, users, seconds)
    await producer.answered(lines, _PATIENCE)
    after = await fleet.sandbox("oauth")
    outcomes = summary(lines)["outcomes"]
    waits = sorted(line.seconds for line in lines if line.seconds is not None)
    return {
        "calls": len(lines),
        "not ok": len(lines) - outcomes.get("ok", 0),
        "refreshed": after["refreshed"] - before["refreshed"],
        "concurrent": after["concurrent"] - before["concurrent"],
        "spent used": after["spent_used"] - before["spent_used"],
        "thrown out": len(await _gone(fleet)) - out,
        "p50 ms": round(waits[len(waits) // 2] * 1000),
        "p99 ms": round(waits[len(waits) * 99 // 100] * 1000),
        "outcomes": ", ".join(f"{name} {count}" for name, count in outcomes.items()),
    }


async def _calls(producer: Producer, users: list[str], seconds: float) -> list[Line]:
    """Call in the name of all users in turn, at a steady rate, whatever becomes of it."""
    began, tasks = time.monotonic(), []
    for number, user in zip(range(int(seconds * RATE)), itertools.cycle(users), strict=False):
        await asyncio.sleep(began + number / RATE - time.monotonic())
        body = calls.read_user() | {"as": {"user": user}}
        tasks.append(asyncio.create_task(producer.call(body)))
    return list(await asyncio.gather(*tasks))


async def _kill(fleet: Fleet) -> None:
    """Kill the oldest process and start another, over and over."""
    while True:
        await asyncio.sleep(_KILL_EVERY)
        oldest = next(gateway for gateway in fleet.gateways if gateway.alive)
        await asyncio.gather(oldest.kill(), fleet.start_gateway())


async def _listed(fleet: Fleet) -> list[Listed]:
    async with ground.database(fleet) as (store, keys):
        return list(await GrantRegistry(store, keys, actor="benchmark").list())


async def _gone(fleet: Fleet) -> list[Listed]:
    return [grant for grant in await _listed(fleet) if grant.state == "reauth_required"]


def _of(row: Mapping[str, Any], name: str) -> float:
    return float(row[name])


def _sum(one: Row, other: Row, name: str) -> float:
    return _of(one, name) + _of(other, name)
