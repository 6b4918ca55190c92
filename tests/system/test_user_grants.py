"""Calls in the name of users, from the browser's code to the reply, and how users are brought back.

The gateway and the commands are processes of their own, with the same key ring.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from sandbox.feishu import DEFAULT_APP_ID, SandboxFeishu
from sandbox.feishu.oauth import OAUTH_V3
from tests.support.command import Ran, plain_environment, run
from tests.support.gateway import Gateway
from tests.support.producer import Producer

KEY = "5e" * 32
OFFLINE = "im:message offline_access"


@pytest.fixture(scope="module")
def gateway_environment(gateway_environment: dict[str, str]) -> dict[str, str]:
    return {**gateway_environment, "LARK_SERVICE_SECRET_KEY": KEY}


class Operator:
    """Runs `lark-service user …` for one user of the default app."""

    def __init__(
        self, simulated: SandboxFeishu, settings: dict[str, str], folder: Path, producer: Producer
    ) -> None:
        self.user = f"ou_{secrets.token_hex(8)}"
        self.oauth = simulated.world.oauth
        self.world = simulated.world
        self.settings = settings
        self.folder = folder
        self.producer = producer

    async def run(self, command: str, *words: str, stdin: str = "", **settings: str) -> Ran:
        own = {**self.settings, **settings}
        place = [] if command == "list" else ["default", self.user]
        return await run("user", command, *place, *words, folder=self.folder, stdin=stdin, **own)

    async def bring(self, **changes: Any) -> dict[str, Any]:
        """Import a grant that the user has given elsewhere."""
        pair = {**self.oauth.grant(DEFAULT_APP_ID, self.user, OFFLINE), **changes}
        ran = await self.run("import", "--file", "-", stdin=json.dumps(pair))
        assert ran.code == 0, ran.err
        return pair

    async def call(self) -> dict[str, Any]:
        """Ask Feishu who the user is, in the user's name."""
        reply = await self.producer.call(
            {
                "method": "GET",
                "path": "/open-apis/authen/v1/user_info",
                "as": {"user": self.user},
            }
        )
        return dict(reply.json)

    async def works(self) -> None:
        """A call succeeds, as this user."""
        reply = await self.call()
        assert reply["ok"], reply
        assert reply["response"]["body"]["data"]["open_id"] == self.user

    async def works_soon(self) -> None:
        """It does once the gateway has taken up a new grant, which takes up to a second."""
        async with asyncio.timeout(5):
            while not (await self.call())["ok"]:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
        await self.works()

    async def must_authorize(self) -> dict[str, Any]:
        """A call ends as reauth_required."""
        reply = await self.call()
        assert not reply["ok"]
        assert reply["error"]["type"] == "reauth_required"
        return dict(reply["error"])

    def refreshes(self) -> int:
        return self.world.ledger.requests[OAUTH_V3]


@pytest.fixture
def operator(
    simulated: SandboxFeishu,
    gateway: Gateway,
    gateway_environment: dict[str, str],
    producer: Producer,
    tmp_path: Path,
) -> Operator:
    wanted = {"LARK_SERVICE_SECRET_KEY", *gateway_environment.keys() - plain_environment().keys()}
    settings = {name: gateway_environment[name] for name in wanted}
    return Operator(simulated, settings, tmp_path, producer)


async def test_a_code_becomes_a_grant_that_calls_use(operator: Operator) -> None:
    await operator.must_authorize()
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    code = operator.oauth.code(
        DEFAULT_APP_ID,
        operator.user,
        OFFLINE,
        redirect_uri="https://example.com/back",
        challenge=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    )
    verifier_file = operator.folder / "verifier"
    verifier_file.write_text(verifier, encoding="utf-8")
    words = ("--code-file", "-", "--redirect-uri", "https://example.com/back")
    ran = await operator.run(
        "exchange", *words, "--code-verifier-file", str(verifier_file), stdin=code
    )
    assert ran.code == 0, ran.err
    assert "is stored" in ran.out
    await operator.works_soon()
    again = await operator.run("exchange", *words, stdin=code)
    assert again.code == 1
    assert "used before (code 20065)" in again.err
    await operator.works()


async def test_a_code_without_offline_access_stores_nothing_and_says_what_to_do(
    operator: Operator,
) -> None:
    code = operator.oauth.code(DEFAULT_APP_ID, operator.user, "im:message")
    ran = await operator.run("exchange", "--code-file", "-", stdin=code)
    assert ran.code == 1
    assert "offline_access" in ran.err
    await operator.must_authorize()


async def test_a_token_that_feishu_rejects_is_refreshed_and_the_call_repeated(
    operator: Operator,
) -> None:
    await operator.bring()
    await operator.works()
    operator.world.tokens.revoke(DEFAULT_APP_ID, user=operator.user)
    before = operator.refreshes()
    await operator.works()
    await operator.works()
    assert operator.refreshes() == before + 1


async def test_a_grant_taken_back_is_asked_about_once_and_an_import_revives_it(
    operator: Operator,
) -> None:
    await operator.bring()
    await operator.works()
    operator.oauth.revoke(DEFAULT_APP_ID, operator.user)
    before = operator.refreshes()
    error = await operator.must_authorize()
    assert error["code"] == 20064
    for _ in range(3):
        await operator.must_authorize()
    assert operator.refreshes() == before + 1
    shown = (await operator.run("show", "--json")).json["grant"]
    assert (shown["state"], shown["failure"]["code"]) == ("reauth_required", 20064)
    await operator.bring()
    await operator.works_soon()


async def test_an_api_that_takes_no_user_token_costs_one_refresh_at_most(
    operator: Operator,
) -> None:
    await operator.bring()
    await operator.works()
    before = operator.refreshes()
    wrong = {
        "method": "GET",
        "path": "/open-apis/tenant/v2/tenant/query",
        "as": {"user": operator.user},
    }
    for _ in range(4):
        reply = await operator.producer.call(wrong)
        assert reply.error["type"] == "feishu_error"
        assert reply.error["code"] == 99991668
        assert "user token" in reply.error["hint"]
    assert operator.refreshes() == before + 1
    await operator.works()


async def test_what_is_stored_is_listed_without_tokens_and_gone_when_removed(
    operator: Operator,
) -> None:
    pair = await operator.bring()
    await operator.works()
    listed = await operator.run("list", "--json")
    grants = {grant["user"]: grant for grant in listed.json["grants"]}
    grant = grants[operator.user]
    assert (grant["app"], grant["state"], grant["scope"]) == ("default", "active", OFFLINE)
    shown = await operator.run("show")
    for out in (listed.out, shown.out):
        assert pair["access_token"] not in out
        assert pair["refresh_token"] not in out
    assert (await operator.run("remove", "--yes")).code == 0
    async with asyncio.timeout(20):
        while (await operator.call())["ok"]:  # noqa: ASYNC110  it is asked of a process
            await asyncio.sleep(0)
    await operator.must_authorize()
    assert (await operator.run("remove", "--yes")).code == 2


@pytest.mark.parametrize(
    "document",
    [
        "secret-thing",
        '["secret-thing"]',
        '{"access_token": "secret-thing", "expires_in": 0}',
        '{"access_token": "secret-thing", "expires_in": 7200}',
        '{"access_token": "secret-thing", "expires_in": 7200, "refresh_token": "secret-thing"}',
    ],
)
async def test_a_document_that_is_no_grant_is_refused_without_showing_it(
    operator: Operator, document: str
) -> None:
    ran = await operator.run("import", "--file", "-", stdin=document)
    assert ran.code == 2
    assert "The document" in ran.err
    assert "secret-thing" not in ran.out + ran.err


async def test_without_a_key_of_its_own_no_grant_is_stored(operator: Operator) -> None:
    ran = await operator.run("import", "--file", "-", stdin="{}", LARK_SERVICE_SECRET_KEY="")
    assert ran.code == 2
    assert "set LARK_SERVICE_SECRET_KEY" in ran.err
    assert "openssl rand -hex 32" in ran.err


async def test_the_authorize_url_names_app_scopes_and_state(operator: Operator) -> None:
    words = ("default", "--redirect-uri", "https://example.com/back", "--state", "s-1")
    ran = await run("user", "authorize-url", *words, folder=operator.folder, **operator.settings)
    assert ran.code == 0, ran.err
    assert f"client_id={DEFAULT_APP_ID}" in ran.out
    assert "redirect_uri=https%3A%2F%2Fexample.com%2Fback" in ran.out
    assert "scope=offline_access&state=s-1" in ran.out
