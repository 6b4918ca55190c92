"""Secrets change while calls run: nobody restarts a gateway for it, and no call fails by it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.feishu import DEFAULT_APP_ID, SandboxFeishu
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
async def calls(url: str) -> AsyncIterator[Ended]:
    """Four producers that call one time after another until the end of the block."""
    producer, ended, stop = await Producer.open(url), Ended(), asyncio.Event()

    async def keep_calling() -> None:
        while not stop.is_set():
            reply = (await producer.call(GOOD_CALL)).json
            ended.count += 1
            ended.failed += [] if reply["ok"] else [reply]

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(keep_calling())
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
