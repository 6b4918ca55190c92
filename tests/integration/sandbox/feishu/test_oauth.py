"""How Feishu turns codes into grants, rotates refresh tokens, and what it counts of misuse."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

import pytest

from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET
from tests.support.feishu import OTHER_APP, OTHER_SECRET, Feishu, Got, until

V2, V3 = "/open-apis/authen/v2/oauth/token", "/oauth/v3/token"
WHOAMI = "/open-apis/authen/v1/user_info"
APP = {"client_id": DEFAULT_APP_ID, "client_secret": DEFAULT_SECRET}
USER = {"app_id": DEFAULT_APP_ID, "open_id": "ou_1"}


async def exchange(feishu: Feishu, code: str, path: str = V3, **fields: Any) -> Got:
    body = {"grant_type": "authorization_code", "code": code, **APP, **fields}
    return await feishu.raw("POST", path, json=body)


async def refresh(feishu: Feishu, pair: dict[str, Any], path: str = V3, **fields: Any) -> Got:
    body = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], **APP, **fields}
    return await feishu.raw("POST", path, json=body)


async def granted(feishu: Feishu, **fields: Any) -> dict[str, Any]:
    return dict(await feishu.control("POST", "grants", {**USER, **fields}))


@pytest.mark.parametrize("path", [V2, V3])
async def test_a_code_brings_a_pair_once(feishu: Feishu, path: str) -> None:
    code = (await feishu.control("POST", "codes", USER))["code"]
    pair = (await exchange(feishu, code, path)).json
    assert pair["code"] == 0
    assert (pair["expires_in"], pair["refresh_token_expires_in"]) == (7200, 604_800)
    assert (pair["scope"], pair["token_type"]) == ("offline_access", "Bearer")
    whoami = await feishu.call("GET", WHOAMI, token=pair["access_token"])
    assert whoami.data["open_id"] == "ou_1"
    again = await exchange(feishu, code, path)
    assert (again.status, again.code) == (400, 20065)


async def test_a_code_lives_for_five_minutes(feishu: Feishu) -> None:
    code = (await feishu.control("POST", "codes", USER))["code"]
    feishu.clock.turn(300)
    assert (await exchange(feishu, code)).code == 20004
    assert (await exchange(feishu, "another")).code == 20003


async def test_a_code_fits_its_app_its_address_and_its_verifier(feishu: Feishu) -> None:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v-1").digest()).rstrip(b"=").decode()
    asked = {**USER, "redirect_uri": "https://a.example/", "code_challenge": challenge}
    code = (await feishu.control("POST", "codes", asked))["code"]
    right = {"redirect_uri": "https://a.example/", "code_verifier": "v-1"}
    other_app = {"client_id": OTHER_APP, "client_secret": OTHER_SECRET}
    assert (await exchange(feishu, code, **right, **other_app)).code == 20024
    assert (await exchange(feishu, code, **{**right, "redirect_uri": "https://b/"})).code == 20001
    assert (await exchange(feishu, code, **{**right, "code_verifier": "v-2"})).code == 20001
    assert (await exchange(feishu, code, **right)).code == 0


async def test_without_offline_access_there_is_no_refresh_token(feishu: Feishu) -> None:
    code = (await feishu.control("POST", "codes", {**USER, "scope": "im:message"}))["code"]
    assert "refresh_token" not in (await exchange(feishu, code)).json


async def test_a_refresh_token_is_spent_at_once_and_its_access_token_lives_on(
    feishu: Feishu,
) -> None:
    first = await granted(feishu)
    second = (await refresh(feishu, first)).json
    assert second["refresh_token"] != first["refresh_token"]
    for pair in (first, second):
        assert (await feishu.call("GET", WHOAMI, token=pair["access_token"])).status == 200
    again = await refresh(feishu, first)
    assert (again.status, again.code) == (400, 20073)
    assert again.json["error"] == "invalid_grant"
    seen = await feishu.control("GET", "oauth")
    assert (seen["refreshed"], seen["spent_used"], seen["refused"]) == (1, 1, {"20073": 1})


async def test_access_and_refresh_tokens_end(feishu: Feishu) -> None:
    await feishu.control("POST", "oauth", {"life": 10, "refresh_life": 100})
    pair = await granted(feishu)
    feishu.clock.turn(10)
    assert (await feishu.call("GET", WHOAMI, token=pair["access_token"])).code == 99991677
    assert (await feishu.call("GET", WHOAMI, token="eyJ-unknown")).code == 99991668
    feishu.clock.turn(90)
    assert (await refresh(feishu, pair)).code == 20037


async def test_what_a_user_takes_back_ends_at_once(feishu: Feishu) -> None:
    pair = await granted(feishu)
    other = dict(await feishu.control("POST", "grants", {**USER, "open_id": "ou_2"}))
    await feishu.control("POST", "revoke_grant", USER)
    assert (await feishu.call("GET", WHOAMI, token=pair["access_token"])).code == 99991668
    assert (await refresh(feishu, pair)).code == 20064
    assert (await refresh(feishu, other)).code == 0


async def test_v3_takes_all_refresh_tokens_and_v2_only_its_own(feishu: Feishu) -> None:
    old, new = await granted(feishu, version=2), await granted(feishu, version=3)
    assert (await refresh(feishu, new, V2)).code == 20026
    assert (await refresh(feishu, old, V2)).code == 0
    assert (await refresh(feishu, new, V3)).code == 0
    old = await granted(feishu, version=2)
    assert (await refresh(feishu, old, V3)).code == 0


async def test_v3_takes_a_form(feishu: Feishu) -> None:
    pair = await granted(feishu)
    fields = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], **APP}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    got = await feishu.raw("POST", V3, data=urlencode(fields), headers=headers)
    assert got.code == 0


async def test_a_client_is_checked_before_what_it_brings(feishu: Feishu) -> None:
    pair = await granted(feishu)
    assert (await refresh(feishu, pair, client_secret="wrong")).code == 20002
    assert (await refresh(feishu, pair, client_id="cli_nobody00000000000")).code == 20048
    assert (await refresh(feishu, pair, grant_type="password")).code == 20036
    assert (await refresh(feishu, pair)).code == 0


async def test_refreshes_of_one_user_at_the_same_time_are_counted(feishu: Feishu) -> None:
    rule = {"template": V3, "delay_ms": 60_000}
    await feishu.control("POST", "faults", rule)
    first, other = await granted(feishu), await granted(feishu, open_id="ou_2")
    slow = asyncio.ensure_future(refresh(feishu, first))
    await until(lambda: feishu.world.oauth.statistics.refreshed == 1)
    assert (await refresh(feishu, other)).code == 0
    assert (await feishu.control("GET", "oauth"))["concurrent"] == 0
    await refresh(feishu, first)
    assert (await feishu.control("GET", "oauth"))["concurrent"] == 1
    slow.cancel()
