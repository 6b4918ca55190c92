"""Apps that come, change and stop while a gateway serves: it is never restarted for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.app_rows import StoredApp
from gateway.app_store import AppStore
from gateway.crypto import KeyRing
from gateway.database import Database
from sandbox.feishu import SandboxFeishu
from tests.support.apps import SECRET_KEY
from tests.support.command import run
from tests.support.gateway import Gateway, api_requests
from tests.support.producer import GOOD_CALL, Producer
from tests.support.waiting import eventually

ALIAS, APP_ID, SECRET = "sales", "cli_sales0000000000001", "sales-app-secret"
REVISION = re.compile(r"^lark_service_registry_revision (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def gateway_environment(gateway_environment: dict[str, str]) -> dict[str, str]:
    """That of every module, and a key under which secrets may be stored."""
    return gateway_environment | {"LARK_SERVICE_SECRET_KEY": SECRET_KEY}


@dataclass(frozen=True)
class Site:
    """A gateway at work, its producer, and the store that an operator changes."""

    gateway: Gateway
    producer: Producer
    simulated: SandboxFeishu
    store: AppStore

    async def seen(self) -> StoredApp:
        return (await self.store.read()).apps[ALIAS]

    async def call(self, **properties: str) -> Mapping[str, Any]:
        """Make a call of the app and return its reply."""
        message = await self.producer.call(
            GOOD_CALL, routing_key=f"{ALIAS}.interactive", **properties
        )
        reply: Mapping[str, Any] = message.json
        return reply

    async def taken_up(self) -> None:
        """Wait until the gateway knows the latest change."""
        wanted = await self.store.revision()
        while True:
            found = REVISION.search(await self.gateway.metrics())
            if found and float(found[1]) == wanted:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def site(
    gateway: Gateway,
    producer: Producer,
    simulated: SandboxFeishu,
    gateway_environment: dict[str, str],
    database_url: str,
    tmp_path: Path,
) -> AsyncIterator[Site]:
    """The gateway, and an app that an operator added while it ran."""
    database = Database(database_url)
    store = AppStore(database, KeyRing.from_text(SECRET_KEY))
    simulated.world.tokens.apps[APP_ID] = SECRET
    if ALIAS not in (await store.read()).apps:
        names = ("LARK_APP_ID", "LARK_APP_SECRET", "LARK_DOMAIN", "RABBITMQ_URL", "DATABASE_URL")
        settings = {name: gateway_environment[name] for name in names}
        ran = await run(
            *("app", "add", ALIAS, "--app-id", APP_ID, "--secret-file", "-"),
            folder=tmp_path,
            stdin=SECRET,
            LARK_SERVICE_SECRET_KEY=SECRET_KEY,
            **settings,
        )
        assert ran.code == 0, ran.err
    yield Site(gateway, producer, simulated, store)
    await database.close()


async def test_an_app_is_served_once_it_was_added(site: Site) -> None:
    # It may come before the gateway knows the app: its queues are there.
    reply = await site.call()

    assert reply["ok"], reply
    assert reply["meta"]["app"] == ALIAS


async def test_a_disabled_app_is_refused_and_an_enabled_one_served_again(site: Site) -> None:
    await site.store.disable(await site.seen())
    await site.taken_up()
    requests = len(api_requests(site.simulated))
    refused = await site.call()
    other = (await site.producer.call(GOOD_CALL)).json
    assert len(api_requests(site.simulated)) == requests + 1

    await site.store.enable(await site.seen())
    await site.taken_up()
    served = await site.call()

    assert refused["error"]["type"] == "app_unavailable"
    assert refused["error"]["hint"] == "lark-service app enable sales"
    assert other["ok"], other
    assert served["ok"], served


async def test_a_limit_holds_from_when_it_is_set_to_when_it_is_cleared(site: Site) -> None:
    assert (await site.call())["ok"]
    await site.store.set_limits(await site.seen(), {"total": "1/3600"})
    await site.taken_up()
    first, second = await site.call(), await site.call(expiration="2000")

    await site.store.set_limits(await site.seen(), {})
    await site.taken_up()
    third = await site.call()

    assert first["ok"], first
    assert second["error"]["type"] == "rate_limited", second
    assert third["ok"], third


async def test_a_secret_is_exchanged_while_calls_are_made_and_none_fails(site: Site) -> None:
    replies: list[Mapping[str, Any]] = []

    async def keep_calling() -> None:
        while True:
            replies.append(await site.call())

    callers = [asyncio.create_task(keep_calling()) for _ in range(4)]
    await eventually(lambda: len(replies) > 20)
    site.simulated.world.tokens.apps[APP_ID] = "another-secret"
    seen = await site.seen()
    await site.store.set_secret(seen, replace(seen.app, secret=SecretStr("another-secret")))
    await site.taken_up()
    before = len(replies)
    await eventually(lambda: len(replies) > before + 20)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    # The next test finds the app as this one did.
    seen = await site.seen()
    await site.store.set_secret(seen, replace(seen.app, secret=SecretStr(SECRET)))

    assert [reply for reply in replies if not reply["ok"]] == []


async def test_a_secret_that_cannot_be_opened_stops_its_app_alone(
    site: Site, database_url: str
) -> None:
    database = Database(database_url)
    await database.execute("UPDATE apps SET secret = 'damaged' WHERE alias = $1", ALIAS)
    await database.execute("UPDATE registry_revision SET revision = revision + 1")
    await database.close()
    await site.taken_up()
    stopped = await site.call(expiration="1500")
    other = (await site.producer.call(GOOD_CALL)).json

    seen = await site.seen()
    await site.store.set_secret(seen, replace(seen.app, secret=SecretStr(SECRET), unreadable=None))
    await site.taken_up()
    served = await site.call()

    assert stopped["error"]["type"] == "store_unavailable", stopped
    assert other["ok"], other
    assert served["ok"], served
