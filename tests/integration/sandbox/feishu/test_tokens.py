"""How Feishu issues and checks access tokens."""

from typing import Any

import pytest

from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET
from tests.support.feishu import OTHER_APP, OTHER_SECRET, TENANT_TOKEN, Feishu, OpenFeishu

BOT = "/open-apis/bot/v3/info"


async def test_the_same_token_is_given_out_with_its_remaining_seconds(feishu: Feishu) -> None:
    first = await feishu.get_token()
    assert first == {
        "code": 0,
        "msg": "ok",
        "tenant_access_token": feishu.token,
        "expire": 7200,
    }
    feishu.clock.turn(7200 - 1800)
    second = await feishu.get_token()
    assert second["tenant_access_token"] == feishu.token
    assert second["expire"] == 1800


async def test_below_thirty_minutes_a_new_token_comes_and_both_are_valid(feishu: Feishu) -> None:
    feishu.clock.turn(7200 - 1799)
    answer = await feishu.get_token()
    assert answer["tenant_access_token"] != feishu.token
    assert answer["expire"] == 7200
    for token in (feishu.token, answer["tenant_access_token"]):
        assert (await feishu.call("GET", BOT, token=token)).status == 200


async def test_life_and_threshold_can_be_short(open_feishu: OpenFeishu) -> None:
    feishu = await open_feishu(token_life=10, renew_below=3)
    feishu.clock.turn(7)
    assert (await feishu.get_token())["tenant_access_token"] == feishu.token
    feishu.clock.turn(0.1)
    assert (await feishu.get_token())["tenant_access_token"] != feishu.token


async def test_an_expired_token_is_refused(feishu: Feishu) -> None:
    feishu.clock.turn(7199.9)
    assert (await feishu.call("GET", BOT)).status == 200
    feishu.clock.turn(0.1)
    got = await feishu.call("GET", BOT)
    assert (got.status, got.code) == (400, 99991663)


async def test_the_app_token_of_a_self_built_app_is_its_tenant_token(feishu: Feishu) -> None:
    path = "/open-apis/auth/v3/app_access_token/internal"
    body = {"app_id": DEFAULT_APP_ID, "app_secret": DEFAULT_SECRET}
    answer = (await feishu.raw("POST", path, json=body)).json
    assert answer["app_access_token"] == answer["tenant_access_token"] == feishu.token


@pytest.mark.parametrize(
    ("credentials", "code", "msg"),
    [
        ({}, 10003, "invalid param"),
        ({"app_id": "nonsense", "app_secret": "x"}, 10003, "invalid param"),
        ({"app_id": 7, "app_secret": "x"}, 10003, "invalid param"),
        ({"app_id": "cli_a0000000000000000", "app_secret": "x"}, 10014, "app id not exists"),
        ({"app_id": DEFAULT_APP_ID, "app_secret": "wrong"}, 10014, "app secret invalid"),
        ({"app_id": DEFAULT_APP_ID}, 10014, "app secret invalid"),
    ],
)
async def test_bad_credentials_fail_with_http_200(
    feishu: Feishu, credentials: dict[str, Any], code: int, msg: str
) -> None:
    got = await feishu.raw("POST", TENANT_TOKEN, json=credentials)
    assert got.status == 200
    assert got.json == {"code": code, "msg": msg}


async def test_a_token_belongs_to_its_app(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    got = await feishu.call("GET", BOT, token=other)
    assert OTHER_APP in got.json["bot"]["app_name"]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, 99991661),
        ("t-without-the-word-bearer", 99991661),
        ("bearer t-lower-case", 99991661),
        ("Bearer t-nobodys", 99991663),
        ("Bearer ", 99991661),
        ("Bearer eyJnobodys", 99991668),
        ("Bearer u-nobodys", 99991668),
    ],
)
async def test_a_wrong_authorization_is_refused(
    feishu: Feishu, header: str | None, code: int
) -> None:
    got = await feishu.raw("GET", BOT, headers={"Authorization": header} if header else {})
    assert (got.status, got.code) == (400, code)
    assert got.json["error"]["log_id"] == got.headers["X-Tt-Logid"]


async def test_an_api_refuses_the_wrong_kind_of_token(feishu: Feishu) -> None:
    user = await feishu.control(
        "POST", "user_tokens", {"app_id": DEFAULT_APP_ID, "open_id": "ou_x"}
    )
    user_token = user["access_token"]
    whoami = "/open-apis/authen/v1/user_info"
    assert (await feishu.call("GET", whoami)).code == 99991663
    assert (await feishu.call("GET", whoami, token=user_token)).data["open_id"] == "ou_x"
    assert (await feishu.call("GET", BOT, token=user_token)).code == 99991668


async def test_revoked_tokens_are_refused_and_replaced(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    assert await feishu.control("POST", "revoke", {"app_id": DEFAULT_APP_ID}) == {
        "ok": True,
        "revoked": 1,
    }
    assert (await feishu.call("GET", BOT)).code == 99991663
    assert (await feishu.call("GET", BOT, token=other)).code == 0
    fresh = (await feishu.get_token())["tenant_access_token"]
    assert fresh != feishu.token
    assert (await feishu.call("GET", BOT, token=fresh)).code == 0


async def test_a_changed_secret_is_asked_for_at_once(feishu: Feishu) -> None:
    await feishu.control("POST", "apps", {"app_id": DEFAULT_APP_ID, "secret": "changed"})
    assert (await feishu.get_token())["code"] == 10014
    assert (await feishu.get_token(secret="changed"))["tenant_access_token"] == feishu.token
