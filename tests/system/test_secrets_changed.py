"""Secrets change while calls run: nobody restarts a gateway for it, and no call fails by it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.app_store import AppStore
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.database import Database
from sandbox.feishu import DEFAULT_APP_ID, SandboxFeishu
from tests.support.command import Ran, run
from tests.support.gateway import Gateway
from tests.support.producer import GOOD_CALL, Producer
from tests.support.waiting import eventually

TENANT_TOKEN = "POST /open-apis/auth/v3/tenant_access_token/internal"
KEY, NEXT_KEY = "ab" * 32, "cd" * 32


@dataclass
class Files:
    """The files that an operator changes."""

    secret: Path
    key: Path


@dataclass
class Ended:
    """Calls that ended so far, and the replies of those that failed."""

    count: int = 0
    failed: list[object] = field(default_factory=list)


@pytest.fixture
def files(tmp_path: Path, simulated: SandboxFeishu) -> Files:
    files = Files(tmp_path / "app secret", tmp_path / "key")
    files.secret.write_text(simulated.world.tokens.apps[DEFAULT_APP_ID], encoding="utf-8")
    files.key.write_text(KEY, encoding="utf-8")
    return files


@pytest.fixture(params=["with a key of its own", "with the derived key"])
async def changing(
    request: pytest.FixtureRequest,
    gateway_environment: dict[str, str],
    files: Files,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    """A gateway whose secrets are in files."""
    environment = {k: v for k, v in gateway_environment.items() if k != "LARK_APP_SECRET"}
    environment["LARK_APP_SECRET_FILE"] = str(files.secret)
    if "own" in request.param:
        environment["LARK_SERVICE_SECRET_KEY_FILE"] = str(files.key)
    process = Gateway(tmp_path, environment)
    await process.start()
    yield process
    await process.stop()


@asynccontextmanager
async def calls(url: str, *aliases: str) -> AsyncIterator[Ended]:
    """Two producers an app that call one time after another until the end of the block."""
    producer, ended, stop = await Producer.open(url), Ended(), asyncio.Event()

    async def keep_calling(alias: str) -> None:
        while not stop.is_set():
            reply = (await producer.call(GOOD_CALL, routing_key=f"{alias}.interactive")).json
            ended.count += 1
            ended.failed += [] if reply["ok"] else [reply]

    async with asyncio.TaskGroup() as group:
        for alias in (aliases or ("default",)) * 2:
            group.create_task(keep_calling(alias))
        yield ended
        stop.set()
    await producer.close()


async def some_more(ended: Ended, count: int = 40) -> None:
    """Wait until so many more calls ended."""
    wanted = ended.count + count
    await eventually(lambda: ended.count >= wanted, within=20)


async def test_a_secret_changed_at_feishu_while_calls_run_fails_none(
    changing: Gateway, rabbitmq_url: str, simulated: SandboxFeishu, files: Files
) -> None:
    async with calls(rabbitmq_url) as ended:
        await some_more(ended)
        simulated.world.tokens.apps[DEFAULT_APP_ID] = another = secrets.token_hex(16)
        await some_more(ended)
        before = simulated.world.ledger.requests[TENANT_TOKEN]
        files.secret.write_text(another, encoding="utf-8")
        told = await changing.reload()
        assert told["changed"] == ["LARK_APP_SECRET"]
        await some_more(ended)
        assert simulated.world.ledger.requests[TENANT_TOKEN] == before + 1
    assert ended.failed == []


@pytest.mark.parametrize("changing", ["with a key of its own"], indirect=True)
async def test_mistakes_in_changed_settings_are_named_and_the_old_ones_stay(
    changing: Gateway, rabbitmq_url: str, files: Files
) -> None:
    old_key = (await changing.reload())["keys"]
    async with calls(rabbitmq_url) as ended:
        for content, told in (("", "is empty"), ("hunter2", "key 1 is not 32 bytes")):
            files.key.write_text(content, encoding="utf-8")
            line = await changing.reload()
            assert line["event"] == "settings not taken up"
            assert [told in mistake for mistake in line["mistakes"]] == [True]
            await some_more(ended)
        files.key.write_text(f"{NEXT_KEY},{KEY}", encoding="utf-8")
        line = await changing.reload()
        assert line["changed"] == ["LARK_SERVICE_SECRET_KEY"]
        assert line["keys"][1:] == old_key
        await some_more(ended)
    assert ended.failed == []
    assert "hunter2" not in changing.log.read_text(encoding="utf-8")


@pytest.fixture
async def news(simulated: SandboxFeishu, database_url: str) -> AsyncIterator[App]:
    """An app whose secret is stored under the first key."""
    app = App("news", "cli_00000000000000ff", SecretStr("news-app-secret"), simulated.url)
    simulated.world.tokens.apps[app.app_id] = app.secret.get_secret_value()
    database = Database(database_url)
    await database.migrate()
    await AppStore(database, KeyRing.from_text(KEY)).add(app)
    yield app
    await database.execute("DELETE FROM apps")
    await database.close()


@pytest.mark.parametrize("changing", ["with a key of its own"], indirect=True)
async def test_the_master_key_is_exchanged_while_calls_run_and_none_fails(
    news: App,
    changing: Gateway,
    rabbitmq_url: str,
    files: Files,
    gateway_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    stores = {name: gateway_environment[name] for name in ("DATABASE_URL", "REDIS_URL")}

    async def secrets_command(*words: str) -> Ran:
        key = str(files.key)
        return await run(
            "secrets", *words, folder=tmp_path, LARK_SERVICE_SECRET_KEY_FILE=key, **stores
        )

    await eventually(
        lambda: any("news" in line["aliases"] for line in changing.events("apps read"))
    )
    async with calls(rabbitmq_url, "default", news.alias) as ended:
        for ring in (f"{KEY},{NEXT_KEY}", f"{NEXT_KEY},{KEY}"):
            files.key.write_text(ring, encoding="utf-8")
            assert (await changing.reload())["event"] == "settings taken up"
            await some_more(ended)
        rotated = await secrets_command("rotate", "--json")
        assert rotated.code == 0, rotated.err
        files.key.write_text(NEXT_KEY, encoding="utf-8")
        await changing.reload()
        await some_more(ended)
        verified = await secrets_command("verify", "--json")
        assert (verified.code, verified.json["places"][0]["unopened"]) == (0, 0)
    assert ended.failed == []
    assert changing.events("secret of an app unreadable") == []


@pytest.mark.parametrize("changing", ["with a key of its own"], indirect=True)
async def test_without_its_key_an_app_fails_alone_and_comes_back_with_it(
    news: App, changing: Gateway, rabbitmq_url: str, files: Files
) -> None:
    producer = await Producer.open(rabbitmq_url)
    to_news = {"routing_key": f"{news.alias}.interactive"}
    soon = {"expiration": "1500"}
    await eventually(
        lambda: any("news" in line["aliases"] for line in changing.events("apps read"))
    )
    assert (await producer.call(GOOD_CALL, **to_news)).json["ok"]

    files.key.write_text(NEXT_KEY, encoding="utf-8")
    await changing.reload()
    await eventually(lambda: changing.events("secret of an app unreadable") != [])
    error = (await producer.call(GOOD_CALL, **to_news, **soon)).json["error"]
    assert error["type"] == "store_unavailable"
    assert "which is not in the key ring" in error["message"]
    assert (await producer.call(GOOD_CALL)).json["ok"]

    files.key.write_text(f"{NEXT_KEY},{KEY}", encoding="utf-8")
    await changing.reload()
    assert (await producer.call(GOOD_CALL, **to_news)).json["ok"]
    await producer.close()
