"""Tokens of several apps at the command line: of Postgres, of the store, of users; and warm-up."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as aioredis
from pydantic import SecretStr

from gateway.app_store import AppStore
from gateway.apps import App, AppKind
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.tokens.grant_registry import GrantRegistry
from gateway.tokens.oauth import Pair
from gateway.tokens.tickets import AppTickets
from gateway.tokens.token import Credential, Holder
from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET, SandboxFeishu
from sandbox.feishu.tickets import StoreApp
from sandbox.feishu.tokens import TENANT_TOKEN
from tests.support.command import Ran, run, run_script

KEY = "ab" * 32
KEYS = KeyRing.from_text(KEY)
SECRET = "s0Me-app-Secret-0f-32-characters"


@dataclass
class Fleet:
    """The app of the environment and those that a test stores."""

    simulated: SandboxFeishu
    folder: Path
    settings: dict[str, str]
    database: Database
    asked_before: int = field(default=0)

    async def run(self, *words: str, **settings: str) -> Ran:
        return await run(*words, folder=self.folder, **(self.settings | settings))

    async def warm(self, *words: str, **settings: str) -> Ran:
        given = self.settings | settings
        return await run_script("cache_warmup.py", *words, folder=self.folder, **given)

    async def add(self, alias: str, kind: AppKind = AppKind.SELF_BUILT) -> App:
        app_id = f"cli_{secrets.token_hex(8)}"
        self.simulated.world.tokens.apps[app_id] = SECRET
        app = App(alias, app_id, SecretStr(SECRET), self.simulated.url, kind)
        await AppStore(self.database, KEYS).add(app)
        return app

    @property
    def asked(self) -> int:
        return self.simulated.world.ledger.requests[TENANT_TOKEN] - self.asked_before


@pytest.fixture
async def fleet(
    simulated: SandboxFeishu, redis_url: str, database_url: str, tmp_path: Path
) -> AsyncIterator[Fleet]:
    settings = {
        "LARK_APP_ID": DEFAULT_APP_ID,
        "LARK_APP_SECRET": DEFAULT_SECRET,
        "LARK_DOMAIN": simulated.url,
        "LARK_SERVICE_SECRET_KEY": KEY,
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
    }
    database = Database(database_url)
    await database.migrate()
    asked = simulated.world.ledger.requests[TENANT_TOKEN]
    yield Fleet(simulated, tmp_path, settings, database, asked)
    simulated.world.script.rules.clear()
    simulated.world.tokens.revoke()
    await emptied(redis_url)
    await database.execute("TRUNCATE apps, tokens, user_grants, app_tickets")
    await database.close()


async def emptied(redis_url: str) -> None:
    async with aioredis.Redis.from_url(redis_url) as client:
        await client.flushdb()


def granted(simulated: SandboxFeishu, user: str) -> Pair:
    """What Feishu gives when the user authorizes the app of the environment."""
    given = simulated.world.oauth.grant(DEFAULT_APP_ID, user, "im:message offline_access")
    return Pair(
        given["access_token"],
        given["expires_in"],
        given["refresh_token"],
        given["refresh_token_expires_in"],
        given["scope"],
    )


def states(ran: Ran) -> dict[str, Any]:
    return {row["alias"]: row["what"] for row in ran.json["apps"]}


async def test_warm_up_brings_back_what_redis_lost_without_asking_feishu(
    fleet: Fleet, redis_url: str
) -> None:
    for alias in ("sales", "hr"):
        await fleet.add(alias)
    first = await fleet.warm("--json")
    await emptied(redis_url)

    dry = await fleet.warm("--dry-run", "--json")
    again = await fleet.warm("--json")
    idle = await fleet.warm("--json")

    assert [ran.code for ran in (first, dry, again, idle)] == [0, 0, 0, 0], first.err
    names = ("default", "sales", "hr")
    assert states(first) == dict.fromkeys(names, "refreshed")
    assert states(dry) == states(again) == dict.fromkeys(names, "loaded")
    assert states(idle) == dict.fromkeys(names, "ready")
    assert fleet.asked == 3


async def test_warm_up_of_one_app_leaves_the_others(fleet: Fleet) -> None:
    app = await fleet.add("sales")

    ran = await fleet.warm("--app-id", app.app_id)

    assert ran.code == 0
    assert "sales" in ran.out
    assert "default" not in ran.out
    assert fleet.asked == 1


async def test_warm_up_tells_which_app_failed_and_goes_on_with_the_others(fleet: Fleet) -> None:
    app = await fleet.add("sales")
    fleet.simulated.world.tokens.apps[app.app_id] = "another-secret"

    failed = await fleet.warm("--json")
    without = await fleet.warm("--json", REDIS_URL="redis://127.0.0.1:1/0")

    assert (failed.code, without.code) == (1, 1)
    assert states(failed) == {"default": "refreshed", "sales": "failed"}
    assert [row["reason"] for row in failed.json["apps"] if row["reason"]] == [
        row["reason"] for row in failed.json["apps"] if row["alias"] == "sales"
    ]
    assert set(states(without).values()) == {"failed"}


async def test_several_apps_must_be_told_apart(fleet: Fleet) -> None:
    app = await fleet.add("sales")

    unnamed = await fleet.run("token-info")
    by_id = await fleet.run("refresh-token", "--app-id", app.app_id, "--json")
    by_alias = await fleet.run("token-info", "--app-id", "sales", "--json")
    status = await fleet.run("token", "status", "--json")

    assert unnamed.code == 2
    assert "name one with --app-id, of default, sales" in unnamed.err
    assert by_id.code == by_alias.code == 0
    assert by_alias.json["fingerprint"] == by_id.json["fingerprint"]
    assert {row["app"]: row["state"] for row in status.json["tokens"]} == {
        "default": "missing",
        "sales": "valid",
    }


async def test_an_app_whose_secret_no_key_opens_is_told(fleet: Fleet) -> None:
    await fleet.add("sales")
    other_key = await fleet.run("validate", "--app-id", "sales", LARK_SERVICE_SECRET_KEY="cd" * 32)

    assert other_key.code == 1
    assert "unreadable" in other_key.err


async def test_the_tokens_of_a_store_app_are_told_apart_by_tenant(fleet: Fleet) -> None:
    app = await fleet.add("shop", AppKind.STORE)
    tickets = fleet.simulated.world.tickets
    tickets.apps[app.app_id] = StoreApp()
    waiting = await fleet.run("refresh-token", "--app-id", "shop")
    await AppTickets(fleet.database, KEYS).put(app, tickets.push(app.app_id))

    own = await fleet.run("refresh-token", "--app-id", "shop", "--json")
    tenant = await fleet.run("refresh-token", "--app-id", "shop", "--tenant", "tk_1", "--json")
    info = await fleet.run("token-info", "--app-id", "shop", "--tenant", "tk_1", "--json")
    missing = await fleet.run("token-info", "--app-id", "shop", "--tenant", "tk_2", "--json")
    listed = await fleet.run("token", "list", "--app", "shop", "--json")
    wrong = await fleet.run("token-info", "--app-id", "default", "--tenant", "tk_1")

    assert waiting.code == 4
    assert "lark-service app set-ticket shop" in waiting.err
    assert (own.code, own.json["kind"]) == (0, "app_access_token"), own.err
    assert (tenant.code, tenant.json["holder"]) == (0, "tk_1"), tenant.err
    assert info.json["fingerprint"] == tenant.json["fingerprint"] != own.json["fingerprint"]
    assert (missing.code, missing.json["state"]) == (1, "missing")
    assert sorted(row["kind"] for row in listed.json["tokens"]) == [
        "app_access_token",
        "tenant_access_token",
    ]
    assert wrong.code == 2
    assert "has one tenant" in wrong.err


async def test_the_token_of_a_user_is_renewed_by_the_grant(fleet: Fleet) -> None:
    own = App("default", DEFAULT_APP_ID, SecretStr(DEFAULT_SECRET), fleet.simulated.url)
    credential = Credential.of(own, Holder("user", "ou_1"))
    pair = granted(fleet.simulated, "ou_1")
    await GrantRegistry(fleet.database, KEYS, actor="test").put(credential, pair, "user_added")
    user = ("--app-id", "default", "--user", "ou_1", "--json")

    before = await fleet.run("token-info", *user)
    renewed = await fleet.run("refresh-token", *user)
    after = await fleet.run("token-info", *user)
    listed = await fleet.run("token", "list", "--json")
    nobody = await fleet.run("token-info", "--user", "ou_2", "--json")
    refused = await fleet.run("refresh-token", "--user", "ou_2")

    assert (before.code, before.json["found_in"]) == (0, ["postgres"]), before.out
    assert renewed.code == 0, renewed.err
    assert not renewed.json["unchanged"]
    assert after.json["fingerprint"] == renewed.json["fingerprint"] != before.json["fingerprint"]
    assert [row["holder"] for row in listed.json["tokens"]] == ["ou_1"]
    assert (nobody.code, nobody.json["state"]) == (1, "missing")
    assert refused.code == 3
    assert "no grant of this user is stored" in refused.err
    assert pair.access_token not in before.out + renewed.out + after.out + listed.out
