"""Store apps: tickets, their own tokens, and a token for each tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.support.feishu import Feishu, Got, OpenFeishu

SHOP = "cli_shop00000000000001"
SECRET = "shop-secret"
AUTH = "/open-apis/auth/v3"
BOT = "/open-apis/bot/v3/info"
LOGIN = "/open-apis/mina/v2/tokenLoginValidate"
CREDENTIALS = {"app_id": SHOP, "app_secret": SECRET}


async def post(feishu: Feishu, name: str, **fields: Any) -> dict[str, Any]:
    got: Got = await feishu.raw("POST", f"{AUTH}/{name}", json=fields)
    assert got.status == 200
    return dict(got.json)


async def app_token(feishu: Feishu) -> str:
    pushed = await feishu.control("POST", "tickets", {"app_id": SHOP})
    answer = await post(feishu, "app_access_token", **CREDENTIALS, app_ticket=pushed["ticket"])
    return str(answer["app_access_token"])


async def tenant_token(feishu: Feishu, tenant: str, own: str) -> str:
    answer = await post(feishu, "tenant_access_token", app_access_token=own, tenant_key=tenant)
    return str(answer["tenant_access_token"])


@pytest.fixture
async def shop(feishu: Feishu) -> Feishu:
    """A sandbox with a store app that has no ticket yet."""
    await feishu.control("POST", "apps", {"app_id": SHOP, "secret": SECRET, "kind": "store"})
    return feishu


async def test_there_is_no_ticket_before_one_is_asked_for(shop: Feishu) -> None:
    assert await shop.control("GET", "tickets") == {SHOP: None}
    assert await post(shop, "app_ticket/resend", **CREDENTIALS) == {"code": 0, "msg": "success"}
    assert (await shop.control("GET", "tickets"))[SHOP]


async def test_only_the_last_ticket_is_taken(shop: Feishu) -> None:
    first = (await shop.control("POST", "tickets", {"app_id": SHOP}))["ticket"]
    second = (await shop.control("POST", "tickets", {"app_id": SHOP}))["ticket"]
    answer = await post(shop, "app_access_token", **CREDENTIALS, app_ticket=first)
    assert answer == {"code": 10012, "msg": "app ticket invalid"}
    answer = await post(shop, "app_access_token", **CREDENTIALS, app_ticket=second)
    assert answer["app_access_token"].startswith("a-")
    assert answer["expire"] == 7200


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("app_access_token", {**CREDENTIALS, "app_ticket": ""}, 10003),
        ("app_access_token", CREDENTIALS, 10003),
        ("app_access_token", {"app_id": SHOP, "app_secret": "x", "app_ticket": "t"}, 10014),
        ("app_ticket/resend", {"app_id": SHOP, "app_secret": "x"}, 10014),
        ("tenant_access_token", {"app_access_token": "a-x", "tenant_key": "t"}, 99991664),
        ("tenant_access_token", {"tenant_key": "t"}, 99991664),
        ("tenant_access_token/internal", CREDENTIALS, 10005),
        ("app_access_token/internal", CREDENTIALS, 10005),
    ],
)
async def test_what_is_refused(shop: Feishu, name: str, fields: Any, code: int) -> None:
    assert (await post(shop, name, **fields))["code"] == code


async def test_a_self_built_app_has_no_ticket(feishu: Feishu) -> None:
    credentials = {"app_id": "cli_sandbox0000000001", "app_secret": "sandbox-secret"}
    assert (await post(feishu, "app_ticket/resend", **credentials))["code"] == 10016
    answer = await post(feishu, "app_access_token", **credentials, app_ticket="t")
    assert answer["code"] == 10005
    own = feishu.token
    assert (await post(feishu, "tenant_access_token", app_access_token=own, tenant_key="t"))[
        "code"
    ] == 99991664


async def test_every_tenant_has_one_token_until_its_last_half_hour(shop: Feishu) -> None:
    own = await app_token(shop)
    one, other = [await tenant_token(shop, tenant, own) for tenant in ("t1", "t2")]
    assert one != other
    shop.clock.turn(5400)
    assert await app_token(shop) == own
    assert await tenant_token(shop, "t1", own) == one
    shop.clock.turn(1)
    newer = await app_token(shop)
    assert newer != own
    assert await tenant_token(shop, "t1", newer) not in (one, other)
    assert (await shop.call("GET", BOT, token=one)).code == 0


async def test_an_api_tells_the_two_kinds_of_token_apart(shop: Feishu) -> None:
    own = await app_token(shop)
    of_tenant = await tenant_token(shop, "t1", own)
    assert (await shop.call("GET", BOT, token=of_tenant)).code == 0
    assert (await shop.call("GET", BOT, token=own)).code == 99991664
    assert (await shop.call("POST", LOGIN, token=own)).code == 0
    assert (await shop.call("POST", LOGIN, token=of_tenant)).code == 99991663


async def test_limits_and_quotas_are_of_one_tenant(open_feishu: OpenFeishu) -> None:
    shop = await open_feishu(overrides={f"GET {BOT}": "1/60"})
    await shop.control("POST", "apps", {"app_id": SHOP, "secret": SECRET, "kind": "store"})
    own = await app_token(shop)
    one, other = [await tenant_token(shop, tenant, own) for tenant in ("t1", "t2")]
    codes = [(await shop.call("GET", BOT, token=token)).code for token in (one, one, other)]
    assert codes == [0, 99991400, 0]
    stats = await shop.control("GET", "stats")
    assert {(row["tenant"], row["accepted"], row["rejected"]) for row in stats["limits"]} == {
        ("t1", 1, 1),
        ("t2", 1, 0),
    }
    assert stats["quota"]["apps"][f"{SHOP}@t1"]["used"] == 1
    entries = (await shop.control("GET", "ledger", tenant="t2"))["entries"]
    assert [entry["path"] for entry in entries] == [f"{AUTH}/tenant_access_token", BOT]


async def test_tokens_of_one_tenant_can_be_revoked_alone(shop: Feishu) -> None:
    own = await app_token(shop)
    one, other = [await tenant_token(shop, tenant, own) for tenant in ("t1", "t2")]
    answer = await shop.control("POST", "revoke", {"app_id": SHOP, "tenant": "t1"})
    assert answer["revoked"] == 1
    assert (await shop.call("GET", BOT, token=one)).code == 99991663
    assert (await shop.call("GET", BOT, token=other)).code == 0
    await shop.control("POST", "revoke", {"app_id": SHOP, "tenant": ""})
    answer = await post(shop, "tenant_access_token", app_access_token=own, tenant_key="t1")
    assert answer["code"] == 99991664


async def test_requests_for_all_kinds_of_token_are_counted(shop: Feishu) -> None:
    await tenant_token(shop, "t1", await app_token(shop))
    assert (await shop.control("GET", "stats"))["token_requests"] == 3


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, asyncio.Queue[Any]]]:
    """An event receiver and what it got."""
    got: asyncio.Queue[Any] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        got.put_nowait(await request.json())
        return web.json_response({})

    server = web.Application()
    server.router.add_post("/events", take)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}/events".format(*runner.addresses[0][:2]), got
    await runner.cleanup()


async def test_a_ticket_is_posted_to_the_receiver_as_feishu_does(
    feishu: Feishu, receiver: tuple[str, asyncio.Queue[Any]]
) -> None:
    url, got = receiver
    fields = {"app_id": SHOP, "secret": SECRET, "kind": "store", "event_url": url}
    await feishu.control("POST", "apps", fields)
    await post(feishu, "app_ticket/resend", **CREDENTIALS)
    event = await asyncio.wait_for(got.get(), 10)
    ticket = (await feishu.control("GET", "tickets"))[SHOP]
    assert event["type"] == "event_callback"
    assert event["event"] == {"app_id": SHOP, "app_ticket": ticket, "type": "app_ticket"}


async def test_a_receiver_that_is_away_holds_nobody_up(feishu: Feishu) -> None:
    fields = {"app_id": SHOP, "secret": SECRET, "kind": "store"}
    await feishu.control("POST", "apps", fields | {"event_url": "http://127.0.0.1:1/events"})
    await post(feishu, "app_ticket/resend", **CREDENTIALS)
    assert (await feishu.control("GET", "tickets"))[SHOP]


async def test_an_app_is_of_one_kind(shop: Feishu) -> None:
    got = await shop.raw(
        "POST", "/_sandbox/apps", json={"app_id": SHOP, "secret": SECRET, "kind": "other"}
    )
    assert got.status == 400
    await shop.control("POST", "apps", {"app_id": SHOP, "secret": SECRET, "kind": "self_built"})
    assert await shop.control("GET", "tickets") == {}
    assert "tenant_access_token" in await post(shop, "tenant_access_token/internal", **CREDENTIALS)
