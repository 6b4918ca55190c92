"""Where tokens of users are asked for, and what counts as a pair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.tokens.endpoint import Unusable
from gateway.tokens.oauth import authorize_url, pair_of, token_url
from gateway.tokens.token import TENANT, Credential, Holder
from tests.support.builders import APP

ANSWER: dict[str, Any] = {
    "code": 0,
    "access_token": "eyJ-access",
    "expires_in": 7200,
    "refresh_token": "eyJ-refresh",
    "refresh_token_expires_in": 604_800,
    "scope": "im:message offline_access",
    "token_type": "Bearer",
}


@pytest.mark.parametrize(
    ("domain", "v3"),
    [
        ("https://open.feishu.cn", "https://accounts.feishu.cn/oauth/v3/token"),
        ("https://open.larksuite.com", "https://accounts.larksuite.com/oauth/v3/token"),
        ("https://feishu.example.com", "https://feishu.example.com/oauth/v3/token"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/oauth/v3/token"),
    ],
)
def test_each_cloud_has_its_own_endpoint(domain: str, v3: str) -> None:
    assert token_url(domain, "v3") == v3
    assert token_url(domain, "v2") == f"{domain}/open-apis/authen/v2/oauth/token"


def test_the_authorize_url_carries_everything_that_feishu_asks_for() -> None:
    url = urlsplit(
        authorize_url(APP, redirect_uri="https://a.example/b?c=d", scope="x y", state="s")
    )
    assert url.netloc == "accounts.feishu.cn"
    assert url.path == "/open-apis/authen/v1/authorize"
    assert parse_qs(url.query) == {
        "client_id": [APP.app_id],
        "response_type": ["code"],
        "redirect_uri": ["https://a.example/b?c=d"],
        "scope": ["x y"],
        "state": ["s"],
    }


def test_a_pair_is_read_as_feishu_tells_it_and_never_shown() -> None:
    pair = pair_of(ANSWER)
    assert (pair.access_token, pair.refresh_token) == ("eyJ-access", "eyJ-refresh")
    assert (pair.access_seconds, pair.refresh_seconds) == (7200, 604_800)
    assert "eyJ" not in repr(pair)


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": ""},
        {"access_token": "two\nlines"},
        {"access_token": None},
        {"access_token": "x" * 8193},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": "7200"},
        {"expires_in": True},
    ],
)
def test_an_answer_without_a_usable_access_token_is_no_pair(changes: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        pair_of({**ANSWER, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"refresh_token": None},
        {"refresh_token": "two words"},
        {"refresh_token_expires_in": 0},
        {"refresh_token_expires_in": None},
    ],
)
def test_a_refresh_token_may_be_missing(changes: dict[str, Any]) -> None:
    assert pair_of({**ANSWER, **changes}).refresh_token is None


def test_lives_that_no_token_has_are_cut() -> None:
    pair = pair_of({**ANSWER, "expires_in": 10**9, "refresh_token_expires_in": 10**12})
    assert pair.access_seconds == 86_400
    assert pair.refresh_seconds == 400 * 86_400


def test_another_secret_is_another_credential_except_of_a_user() -> None:
    changed = replace(APP, secret=type(APP.secret)("another"))
    assert Credential.of(APP, TENANT).key != Credential.of(changed, TENANT).key
    user = Holder("user", "ou_1")
    assert Credential.of(APP, user).key == Credential.of(changed, user).key
    assert Credential.of(APP, user).key != Credential.of(APP, Holder("user", "ou_2")).key
