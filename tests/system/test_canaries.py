"""Every secret is watched through successes and failures, and turns up nowhere in the clear."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from sandbox.feishu import DEFAULT_APP_ID, SandboxFeishu
from sandbox.feishu.faults import Rule
from sandbox.feishu.tickets import StoreApp
from schemas import names
from tests.support.calls import change, invite, read, send
from tests.support.canaries import Canaries, add_postgres, add_redis
from tests.support.command import COMMAND, Ran, run
from tests.support.gateway import Gateway
from tests.support.producer import Producer
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)
URLS = ("RABBITMQ_URL", "REDIS_URL", "DATABASE_URL")
USER = "ou_canary"
SHOP, WRONG = "cli_canaryshop00000001", "cli_canarywrong0000001"
OFFLINE = "im:message offline_access"
KEY_COMMAND = """#!/bin/sh
{ tr '\\0' ' ' </proc/$$/environ; tr '\\0' ' ' </proc/$$/cmdline; } >>"$(dirname "$0")/child"
cat "$(dirname "$0")/key"
"""
SHOWN = [
    "app list --json",
    "app show shop --json",
    "app validate shop --json",
    "app validate wrong --json",
    "user list --json",
    f"user show default {USER} --json",
    "token list --json",
    "token-info --app default --json",
    f"refresh-token --app default --user {USER} --json",
    "validate --app wrong --json",
    "secrets verify --json",
    "secrets rotate --json",
    "config check --json",
    "limits --all --json",
    "health --json",
]


class Site:
    """One gateway with every kind of app, its secrets in files, and what producers see of it."""

    def __init__(self, folder: Path, simulated: SandboxFeishu, environment: dict[str, str]) -> None:
        self.folder = folder
        self.simulated = simulated
        self.canaries = Canaries()
        self._few = asyncio.Semaphore(2)
        key = self.canaries.watch("master key", secrets.token_hex(32))
        self._write("key", key)
        command = self._write("give-key", KEY_COMMAND)
        command.chmod(0o755)
        app_secret = self.canaries.watch("app secret", f"canary-{secrets.token_hex(12)}")
        simulated.world.tokens.apps[DEFAULT_APP_ID] = app_secret
        self.settings = {
            "LARK_APP_ID": DEFAULT_APP_ID,
            "LARK_DOMAIN": simulated.url,
            "LARK_SERVICE_SECRET_KEY_COMMAND": str(command),
            "LARK_SERVICE_HEALTH_PORT": "0",
            "LOG_LEVEL": "DEBUG",
            "LARK_APP_SECRET_FILE": str(self._write("secret", app_secret)),
        }
        self.urls = {name: environment[name] for name in URLS}
        for name, url in self.urls.items():
            self.settings[f"{name}_FILE"] = str(self._write(name, url))
            if password := urlsplit(url).password:
                self.canaries.watch(f"password of {name}", password)
        self.environment = {
            name: value
            for name, value in environment.items()
            if name not in (*URLS, "LARK_APP_SECRET")
        } | self.settings

    def _write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    async def command(self, line: str, stdin: str = "") -> Ran:
        """Run a command; what it prints is looked through."""
        async with self._few:
            ran = await run(*line.split(), folder=self.folder, stdin=stdin, **self.settings)
        self.canaries.add(f"output of {line}", ran.out + ran.err)
        return ran

    async def set_up(self) -> None:
        """Add a store app with its ticket, an app with a wrong secret and a user's grant."""
        world = self.simulated.world
        shop = self.canaries.watch("secret of the store app", f"canary-{secrets.token_hex(12)}")
        wrong = self.canaries.watch("wrong secret", f"canary-{secrets.token_hex(12)}")
        world.tokens.apps |= {SHOP: shop, WRONG: "another"}
        world.tickets.apps[SHOP] = StoreApp()
        added = await self.command(
            f"app add shop --app-id {SHOP} --kind store --secret-file -", shop
        )
        assert added.code == 0, added.err
        line = f"app add wrong --app-id {WRONG} --no-validate --secret-file -"
        assert (await self.command(line, wrong)).code == 0
        ticket = world.tickets.push(SHOP)
        assert (await self.command("app set-ticket shop --ticket-file -", ticket)).code == 0
        code = world.oauth.code(DEFAULT_APP_ID, USER, OFFLINE)
        exchange = f"user exchange default {USER} --code-file -"
        assert (await self.command(exchange, code)).code == 0
        assert (await self.command(exchange, code)).code == 1
        assert (await self.command("app set-secret wrong --secret-file -", wrong)).code == 3

    async def calls(self, producer: Producer) -> None:
        """Calls that succeed and calls that fail, in every way that concerns a token."""
        tenant = {"tenant": "tenant_canary"}
        user = {"method": "GET", "path": "/open-apis/authen/v1/user_info", "as": {"user": USER}}
        assert (await producer.call(read())).json["ok"]
        assert (await producer.call(user)).json["ok"]
        to_shop = {"routing_key": "shop.interactive"}
        assert (await producer.call({**read(), "as": tenant}, **to_shop, within=30)).json["ok"]
        failures: list[dict[str, Any]] = [
            {"code": 99991663, "status": 400, "count": 2},
            {"cut": "before", "count": 9},
            {"status": 500, "count": 9},
            {"status": 200, "body": "<html>", "content_type": "application/json"},
        ]
        soon = {"expiration": "1500"}
        for fault in failures:
            self.simulated.world.script.rules.append(Rule.parse(fault))
            calls = (read(), send(), change(), invite(), user)
            await asyncio.gather(*(producer.call(call, within=20, **soon) for call in calls))
            self.simulated.world.script.rules.clear()
        wrong = await producer.call(read(), routing_key="wrong.interactive")
        assert wrong.json["error"]["type"] == "credentials_invalid"
        await producer.call(b"{", within=20)
        self.simulated.world.script.rules.append(Rule.parse({"code": 99991672, "status": 400}))
        letters = len(producer.letters)
        await producer.send(read(), correlation_id="nobody", message_id="for-nobody")
        await eventually(lambda: len(producer.letters) > letters)

    async def without_stores(self) -> None:
        """A process that may log in nowhere: what its log says of passwords that are wrong."""
        settings = dict(self.environment)
        for name in URLS:
            password = self.canaries.watch(f"wrong password of {name}", secrets.token_hex(12))
            del settings[f"{name}_FILE"]
            place = urlsplit(self.urls[name])
            where = f"{place.hostname}:{place.port}{place.path}"
            settings[name] = f"{place.scheme}://nobody:{password}@{where}"
        log = self.folder / "without stores.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *COMMAND[1:], "serve"), env=settings, stdout=file, stderr=file
            )
        try:
            told = ("Postgres is away", "RabbitMQ")
            await eventually(lambda: all(word in log.read_text() for word in told), within=30)
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        self.canaries.add("log without stores", log.read_bytes())


@pytest.fixture(scope="module")
async def site(
    simulated: SandboxFeishu,
    gateway_environment: dict[str, str],
    rabbitmq_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """A site after all that may happen to it."""
    folder = tmp_path_factory.mktemp("canaries")
    site = Site(folder, simulated, gateway_environment)
    gateway = Gateway(folder, site.environment)
    try:
        await gateway.start()
        await site.set_up()
        producer = await Producer.open(rabbitmq_url)
        await site.calls(producer)
        await asyncio.gather(*map(site.command, SHOWN), site.without_stores())
        site.canaries.watch_issued(simulated)
        site.canaries.add_messages("reply", producer.replies)
        site.canaries.add_messages("dead letter", producer.letters)
        await producer.close()
        await add_gateway(site.canaries, gateway)
        site.canaries.add("children of the gateway", (folder / "child").read_bytes())
        await add_redis(site.canaries, gateway_environment["REDIS_URL"])
        await add_postgres(site.canaries, gateway_environment["DATABASE_URL"])
    finally:
        await gateway.stop()
    site.canaries.add("log", gateway.log.read_bytes())
    return site


async def add_gateway(canaries: Canaries, gateway: Gateway) -> None:
    """What the process tells whoever may ask it, or the operating system about it."""
    process = Path(f"/proc/{gateway.pid}")
    limits = (process / "limits").read_text(encoding="utf-8").splitlines()
    [dump] = [line.split() for line in limits if line.startswith("Max core file size")]
    assert dump[4:6] == ["0", "0"]
    for name in ("cmdline", "environ"):
        canaries.add(f"/proc/gateway/{name}", (process / name).read_bytes())
    async with aiohttp.ClientSession() as http:
        for path in ("/metrics", "/livez", "/readyz"):
            async with http.get(f"http://127.0.0.1:{gateway.port}{path}") as response:
                canaries.add(path, await response.read())


async def test_no_secret_turns_up_in_the_clear(site: Site) -> None:
    found = site.canaries.found()
    size = sum(map(len, site.canaries.places.values()))
    print(sorted(site.canaries.secrets), f"in {len(site.canaries.places)} places, {size} bytes")
    assert found == []


def test_every_kind_of_secret_was_there_and_every_kind_of_place_was_looked_at(site: Site) -> None:
    kinds = {name.rstrip("0123456789 ") for name in site.canaries.secrets}
    assert {"master key", "app secret", "ticket", "token", "code", "refresh token"} <= kinds
    places = " ".join(site.canaries.places)
    for part in (
        "redis b'lark:token:",
        "postgres tokens as binary",
        "postgres user_grants as text",
    ):
        assert part in places
    for table in ("apps", "app_tickets", "user_grants", "tokens", "dead_letters"):
        assert site.canaries.places[f"postgres {table} as text"], table
    for line in SHOWN:
        assert site.canaries.places[f"output of {line}"].startswith((b"{", b"[")), line
    assert b'"level": "debug"' in site.canaries.places["log"]
    assert names.HEADER_DEAD_REASON in repr(site.canaries.places["dead letter 0"])


@pytest.mark.parametrize("writing", ["{}", 'x"{}"', "Bearer {}", "://u:{}@h"])
def test_a_secret_in_the_clear_would_be_found(site: Site, writing: str) -> None:
    canaries = Canaries()
    canaries.secrets = site.canaries.secrets
    for name, secret in canaries.secrets.items():
        canaries.places = {"here": json.dumps({"x": writing.format(secret)}).encode()}
        assert f"{name} in here" in canaries.found()
