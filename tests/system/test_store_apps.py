"""Calls for the tenants of a store app, from the ticket that an operator hands in to the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.feishu import SandboxFeishu
from sandbox.feishu.tickets import StoreApp
from sandbox.feishu.tokens import RESEND_TICKET, STORE_APP_TOKEN, STORE_TENANT_TOKEN
from tests.support.amqp import Message
from tests.support.apps import SECRET_KEY
from tests.support.calls import read
from tests.support.command import Ran, run
from tests.support.gateway import Gateway, api_requests
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer
from tests.support.waiting import eventually

SHOP, SECRET = "cli_shop00000000000001", "shop-secret"
LOGIN = {"method": "POST", "path": "/open-apis/mina/v2/tokenLoginValidate", "body": {"code": "c"}}


@pytest.fixture(scope="module")
def gateway_environment(gateway_environment: dict[str, str]) -> dict[str, str]:
    """That of every module, and a key under which secrets may be stored."""
    return gateway_environment | {"LARK_SERVICE_SECRET_KEY": SECRET_KEY}


@dataclass(frozen=True)
class Shop:
    """A store app of this gateway, as an operator and its producers see it."""

    simulated: SandboxFeishu
    producer: Producer
    folder: Path
    settings: dict[str, str]

    async def run(self, *words: str, stdin: str = "") -> Ran:
        """Run a command with the gateway's settings."""
        return await run("app", *words, folder=self.folder, stdin=stdin, **self.settings)

    async def call(self, call: dict[str, Any], who: Any, **properties: Any) -> Message:
        """Make a call of the app and wait for the reply."""
        key = {"routing_key": "shop.interactive"}
        return await self.producer.call({**call, "as": who}, within=30, **key, **properties)

    def asked(self, name: str) -> int:
        return self.simulated.world.ledger.requests[name]

    @property
    def event(self) -> dict[str, Any]:
        """What Feishu pushed last, as an event receiver gets it."""
        ticket = self.simulated.world.tickets.shown()[SHOP]
        event = {"app_id": SHOP, "app_ticket": ticket, "type": "app_ticket"}
        return {"ts": "1", "uuid": "u", "token": "v", "type": "event_callback", "event": event}


@pytest.fixture(scope="module")
async def shop(
    simulated: SandboxFeishu,
    gateway: Gateway,
    producer: Producer,
    gateway_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Shop:
    """The app, added by the command while the gateway runs; it has no ticket."""
    assert gateway.pid
    simulated.world.tokens.apps[SHOP] = SECRET
    simulated.world.tickets.apps[SHOP] = StoreApp()
    names = ("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_")
    settings = {name: text for name, text in gateway_environment.items() if name.startswith(names)}
    shop = Shop(simulated, producer, tmp_path_factory.mktemp("shop"), settings)
    words = ("add", "shop", "--app-id", SHOP, "--kind", "store", "--secret-file", "-")
    ran = await shop.run(*words, stdin=SECRET)
    assert ran.code == 0, ran.err
    return shop


async def test_a_call_waits_for_a_ticket_and_is_carried_out_when_one_is_handed_in(
    shop: Shop,
) -> None:
    place = unique("ou_waits")
    await shop.producer.send(
        {**read(place), "as": {"tenant": "t1"}},
        routing_key="shop.interactive",
        reply_to="amq.rabbitmq.reply-to",
        correlation_id=place,
        message_id=place,
    )
    # The command asked once, to see whether Feishu takes the credentials.
    await eventually(lambda: shop.asked(RESEND_TICKET) == 2, within=20)
    late = await shop.call(read("ou_late"), {"tenant": "t2"}, expiration="1500")
    assert_error(late, "store_unavailable", "not_executed", retryable=True)
    assert "lark-service app set-ticket shop" in late.error["hint"]
    assert requests_of(shop.simulated, place) == []
    assert "none yet" in (await shop.run("show", "shop")).out

    ran = await shop.run("set-ticket", "shop", "--ticket-file", "-", stdin=json.dumps(shop.event))
    assert (ran.code, ran.err) == (0, "")
    reply = await shop.producer.reply_of(place, within=30)
    assert reply.json["ok"], reply.json
    assert reply.json["meta"]["attempts"] == 1
    assert shop.asked(RESEND_TICKET) == 2
    [request] = requests_of(shop.simulated, place)
    assert (request["app_id"], request["tenant"]) == (SHOP, "t1")


async def test_each_call_carries_the_token_that_it_names(shop: Shop) -> None:
    own = shop.asked(STORE_APP_TOKEN)
    for tenant in ("t1", "t2", "t1"):
        place = unique("ou_of")
        assert (await shop.call(read(place), {"tenant": tenant})).json["ok"]
        [request] = requests_of(shop.simulated, place)
        assert (request["app_id"], request["tenant"]) == (SHOP, tenant)
    assert (await shop.call(LOGIN, "app")).json["ok"]
    assert api_requests(shop.simulated)[-1]["tenant"] == ""
    assert shop.asked(STORE_APP_TOKEN) == own
    assert shop.asked(STORE_TENANT_TOKEN) == 2


async def test_a_call_that_names_no_tenant_is_told_how_to(shop: Shop) -> None:
    reply = await shop.call(read(), "tenant")
    assert_error(reply, "invalid_call", "not_executed", retryable=False)
    assert '{"tenant": "<tenant_key>"}' in reply.error["message"]


async def test_a_rejected_token_of_one_tenant_is_replaced_and_no_other(shop: Shop) -> None:
    before = shop.asked(STORE_TENANT_TOKEN)
    assert shop.simulated.world.tokens.revoke(SHOP, tenant="t1") == 1
    for tenant in ("t1", "t2"):
        reply = await shop.call(read(), {"tenant": tenant})
        assert reply.json["ok"]
        assert reply.json["meta"]["attempts"] == 1
    assert shop.asked(STORE_TENANT_TOKEN) == before + 1


@pytest.mark.parametrize(
    ("name", "stdin", "says"),
    [
        ("shop", '{"event": {"type": "app_open", "app_id": "x"}}', "no app_ticket event"),
        ("shop", "", "ticket"),
        ("default", "ticket", "default"),
        ("nobody", "ticket", "No app has the alias"),
    ],
)
async def test_what_is_no_ticket_of_a_store_app_is_refused(
    shop: Shop, name: str, stdin: str, says: str
) -> None:
    ran = await shop.run("set-ticket", name, "--ticket-file", "-", stdin=stdin)
    assert ran.code == 2
    assert says in ran.err
    assert ran.out == ""


async def test_a_ticket_comes_from_a_file_and_is_not_shown(shop: Shop) -> None:
    ticket = shop.simulated.world.tickets.push(SHOP)
    path = shop.folder / "ticket"
    path.write_text(f"{ticket}\n", encoding="utf-8")
    ran = await shop.run("set-ticket", SHOP, "--ticket-file", str(path), "--json")
    assert ran.json == {"ok": True, "app": "shop", "app_id": SHOP}
    assert ticket not in ran.out + ran.err


async def test_show_says_when_the_last_ticket_was_handed_in(shop: Shop) -> None:
    await shop.run("set-ticket", "shop", "--ticket-file", "-", stdin=json.dumps(shop.event))
    told = (await shop.run("show", "shop", "--json")).json["app"]["ticket_received_at"]
    received = datetime.fromisoformat(told)
    assert abs((datetime.now(UTC) - received).total_seconds()) < 60
    assert f"{received:%Y-%m-%d %H:%M:%S} UTC" in (await shop.run("show", "shop")).out
