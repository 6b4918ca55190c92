"""App secrets and the master key exchanged while calls run."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.limits.report import Findings, exactly
from benchmarks.proof import calls
from benchmarks.proof.fleet import COMMAND, Fleet, Gateway
from benchmarks.proof.ledger import Line, Producer, summary
from gateway.app_store import AppStore
from gateway.apps import DEFAULT_ALIAS, App
from gateway.crypto import KeyRing
from gateway.sealed_columns import SEALED_COLUMNS
from sandbox.feishu.options import DEFAULT_APP_ID, DEFAULT_SECRET

from . import ground
from .options import Options

APPS, TOKENS, ROUNDS = 49, 20_000, 2
SECONDS = 5.0
"""How long calls run between two changes of a kind."""
_CALLERS = 40
_PATIENCE = 60.0
_FILL = """
INSERT INTO tokens SELECT key, 'cli_x', 'tenant', '', sealed, now(), now() + interval '1 hour'
FROM unnest($1::bytea[], $2::bytea[]) AS many (key, sealed)
"""
_NEWEST = "SELECT count(*) AS count FROM tokens WHERE substring(sealed FROM 2 FOR 4) = $1"


@dataclass(slots=True)
class Site:
    """A fleet whose secrets are in two files, and what was done to it."""

    fleet: Fleet
    folder: Path
    gateways: list[Gateway]
    done: Counter[str]

    @property
    def key_file(self) -> Path:
        """The master keys."""
        return self.folder / "key"

    @property
    def secret_file(self) -> Path:
        """The secret of the default app."""
        return self.folder / "secret"

    async def reload(self) -> None:
        """SIGHUP to all, and wait until all have taken it up."""
        before = [
            gateway.log.read_bytes().count(b'"settings taken up"') for gateway in self.gateways
        ]
        for gateway in self.gateways:
            os.kill(gateway.pid, signal.SIGHUP)
        async with asyncio.timeout(_PATIENCE):
            for gateway, count in zip(self.gateways, before, strict=True):
                while gateway.log.read_bytes().count(b'"settings taken up"') == count:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        self.done["SIGHUP"] += len(self.gateways)

    async def command(self, *words: str) -> asyncio.subprocess.Process:
        """Start a command with the ring that the gateways have."""
        own = {"LARK_SERVICE_SECRET_KEY": "", "LARK_SERVICE_SECRET_KEY_FILE": str(self.key_file)}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COMMAND, "secrets", *words, "--json"),
            env={**os.environ, **self.fleet.stack.environment(), **own},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )


async def rotation(options: Options) -> Findings:
    """Each secret is exchanged as the documents say it is done; no call is to notice."""
    findings = Findings("rotation")
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "LARK_APP_SECRET": "",
            "LARK_APP_SECRET_FILE": f"{folder}/secret",
            "LARK_SERVICE_SECRET_KEY": "",
            "LARK_SERVICE_SECRET_KEY_FILE": f"{folder}/key",
        }
        async with ground.ground(settings=settings) as fleet:
            site = Site(fleet, Path(folder), [], Counter())
            site.secret_file.write_text(DEFAULT_SECRET, encoding="utf-8")
            key = fleet.stack.environment()["LARK_SERVICE_SECRET_KEY"]
            site.key_file.write_text(key, encoding="utf-8")
            apps = ground.some_apps(fleet, options.some_apps(APPS))
            await ground.add_apps(fleet, apps)
            site.gateways += await fleet.start_gateways(options.gateways)
            async with Producer(fleet.stack.rabbitmq_url) as producer:
                lines, verified = await _measured(site, producer, apps, options)
            alive = sum(gateway.alive for gateway in site.gateways)
    figures = summary(lines)
    failed = len(lines) - figures["outcomes"].get("ok", 0)
    findings.rows.append(
        {"apps": len(apps) + 1, "processes": len(site.gateways), "calls": len(lines)}
        | {"not ok": failed, **site.done}
        | {name: figures[name] for name in ("p50_s", "p99_s", "slowest_s")}
    )
    findings.gates = [
        exactly("calls answered with an error", failed, 0),
        exactly("sealed values that do not open", verified["unopened"], 0),
        exactly("values under an older key", verified["older"], 0),
        exactly("processes that live on", alive, len(site.gateways)),
    ]
    findings.remarks.append(f"Outcomes: {figures['outcomes']}")
    return findings


async def _measured(
    site: Site, producer: Producer, apps: list[App], options: Options
) -> tuple[list[Line], dict[str, int]]:
    aliases = [DEFAULT_ALIAS, *(app.alias for app in apps)]
    lines: list[Line] = []
    stop = asyncio.Event()
    callers = [
        asyncio.create_task(_call(producer, aliases[number:] + aliases[:number], lines, stop))
        for number in range(_CALLERS)
    ]
    pause = options.lasting(SECONDS)
    try:
        for _ in range(ROUNDS):
            await asyncio.sleep(pause)
            await _new_app_secrets(site, apps)
            await asyncio.sleep(pause)
            await _new_master_key(site, pause)
        verified = await _verified(site)
    finally:
        stop.set()
        await asyncio.gather(*callers)
    await producer.answered(lines, _PATIENCE)
    return lines, verified


async def _call(
    producer: Producer, aliases: list[str], lines: list[Line], stop: asyncio.Event
) -> None:
    while not stop.is_set():
        for alias in aliases:
            line = await producer.call(calls.read_user(), app=alias)
            lines.append(line)
            async with asyncio.timeout(_PATIENCE):
                await line.arrived.wait()
            if stop.is_set():
                return


async def _new_app_secrets(site: Site, apps: list[App]) -> None:
    """At Feishu first, as its console does it; then here."""
    secret = secrets.token_hex(16)
    await site.fleet.sandbox("apps", {"app_id": DEFAULT_APP_ID, "secret": secret})
    site.secret_file.write_text(secret, encoding="utf-8")
    await site.reload()
    site.done["app secrets"] += 1
    keys = KeyRing.from_text(site.key_file.read_text(encoding="utf-8"))
    async with ground.database(site.fleet) as (database, _):
        store = AppStore(database, keys)
        stored = (await store.read()).apps
        for app in apps:
            secret = secrets.token_hex(16)
            await site.fleet.sandbox("apps", {"app_id": app.app_id, "secret": secret})
            seen = stored[app.alias]
            changed = App(app.alias, app.app_id, SecretStr(secret), app.domain)
            await store.set_secret(seen, changed)
            site.done["app secrets"] += 1


async def _new_master_key(site: Site, pause: float) -> None:
    """The new key opens everywhere first, then seals; a rotation killed half-way is run again."""
    old, new = site.key_file.read_text(encoding="utf-8"), secrets.token_hex(32)
    await _fill(site, KeyRing.from_text(old))
    for ring in (f"{old},{new}", f"{new},{old}"):
        site.key_file.write_text(ring, encoding="utf-8")
        await site.reload()
    newest = bytes.fromhex(KeyRing.from_text(new).key_ids[0])
    async with ground.database(site.fleet) as (database, _):
        killed = await site.command("rotate")
        while killed.returncode is None:
            row = await database.fetchrow(_NEWEST, newest)
            if row is not None and row["count"] > TOKENS // 4:
                killed.kill()
                site.done["rotations killed"] += 1
                break
            await asyncio.sleep(0.01)
        await killed.wait()
    began = time.monotonic()
    resumed = await site.command("rotate")
    output, _ = await resumed.communicate()
    assert resumed.returncode == 0, output
    site.done["re-sealed by the second run"] += sum(
        column["resealed"] for column in json.loads(output)["columns"]
    )
    site.done["seconds of second runs"] += round(time.monotonic() - began)
    await asyncio.sleep(pause)
    site.key_file.write_text(new, encoding="utf-8")
    await site.reload()
    site.done["master keys"] += 1


async def _fill(site: Site, keys: KeyRing) -> None:
    """Many more tokens, so that a rotation takes its time."""
    column = next(column for column in SEALED_COLUMNS if column.table == "tokens")
    async with ground.database(site.fleet) as (database, _):
        await database.execute("DELETE FROM tokens WHERE app_id = 'cli_x'")
        rows = [number.to_bytes(32, "big") for number in range(TOKENS)]
        sealed = [keys.seal(b"t-none", column.context(row)) for row in rows]
        await database.execute(_FILL, rows, sealed)


async def _verified(site: Site) -> dict[str, int]:
    verify = await site.command("verify")
    output, _ = await verify.communicate()
    document: dict[str, Any] = json.loads(output)
    places = [place for place in document["places"] if place["place"] != "redis"]
    newest = document["keys"][0]
    older = sum(
        count for place in places for key, count in place["values"].items() if key != newest
    )
    return {"unopened": sum(place["unopened"] for place in places), "older": older}
