"""What a process takes up of changed settings, and what it must not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from consumers.reload import Reload
from gateway.apps import App, Apps
from gateway.crypto import KeyRing
from gateway.database import DatabaseUnavailable
from gateway.redaction import MASK, Redactor
from gateway.settings import Settings, load_settings
from schemas.reply import ErrorType
from tests.support.waiting import eventually

KEY, NEXT = "ab" * 32, "cd" * 32
OTHER = App("other", "cli_2", SecretStr("other-secret"), "https://open.feishu.cn")


@dataclass
class Process:
    """What a process holds that may change, and the environment that its operator changes."""

    folder: Path
    environment: dict[str, str]
    rereads: int = 0
    database_is_away: bool = False
    redactor: Redactor = field(default_factory=Redactor)

    def __post_init__(self) -> None:
        settings = self.read()
        own = App("default", settings.app_id, settings.app_secret, settings.domain)
        self.apps = Apps([own, OTHER])
        self.keys = KeyRing.of(settings.secret_key, settings.app_secret)
        self.reload = Reload(settings, self.read, self.apps, self.keys, self.redactor)

    def read(self) -> Settings:
        return load_settings(self.environment, self.folder)

    async def reread_apps(self) -> None:
        self.rereads += 1
        if self.database_is_away:
            raise DatabaseUnavailable(ErrorType.STORE_UNAVAILABLE, "Postgres is away")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reload.run(self.reread_apps))
        yield
        task.cancel()

    async def after(self, **changes: str) -> dict[str, Any]:
        """Change the environment and ask; the line that says what became of it."""
        self.environment |= changes
        with capture_logs() as lines:
            self.reload.ask()
            told = ("settings taken up", "settings not taken up")
            await eventually(lambda: any(line["event"] in told for line in lines))
        return next(dict(line) for line in lines if line["event"] in told)


@pytest.fixture
def process(tmp_path: Path) -> Process:
    given = {"LARK_APP_ID": "cli_1", "LARK_APP_SECRET": "first-secret"}
    return Process(tmp_path, given | {"LARK_SERVICE_SECRET_KEY": KEY})


async def test_secrets_are_taken_up_and_from_then_on_masked(process: Process) -> None:
    changes = {"LARK_APP_SECRET": "next-secret", "LARK_SERVICE_SECRET_KEY": f"{NEXT},{KEY}"}
    async with process.running():
        told = await process.after(**changes)
    assert told["changed"] == ["LARK_APP_SECRET", "LARK_SERVICE_SECRET_KEY"]
    assert told["keys"] == KeyRing.from_text(f"{NEXT},{KEY}").key_ids == process.keys.key_ids
    assert process.apps.get("default").secret.get_secret_value() == "next-secret"
    assert process.apps.get("other") == OTHER
    assert process.rereads == 1
    assert process.redactor.text(f"next-secret {NEXT}") == f"{MASK} {MASK}"


async def test_what_needs_a_restart_is_named_each_time(process: Process) -> None:
    async with process.running():
        for _ in range(2):
            told = await process.after(LOG_LEVEL="DEBUG")
            assert (told["changed"], told["need_restart"]) == ([], ["LOG_LEVEL"])


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"LARK_APP_ID": "cli_3"}, "LARK_APP_ID, LARK_DOMAIN: another app takes a restart"),
        ({"LARK_DOMAIN": "https://open.larksuite.com"}, "another app takes a restart"),
        ({"LARK_SERVICE_SECRET_KEY": ""}, "LARK_SERVICE_SECRET_KEY: is gone"),
        ({"LARK_SERVICE_SECRET_KEY": "hunter2"}, "LARK_SERVICE_SECRET_KEY: key 1 is not 32 bytes"),
        ({"LARK_APP_SECRET": ""}, "LARK_APP_SECRET is not set"),
        ({"API_TIMEOUT": "soon"}, "API_TIMEOUT: "),
    ],
)
async def test_with_a_mistake_nothing_is_taken_up(
    changes: dict[str, str], mistake: str, process: Process
) -> None:
    before = process.keys.key_ids
    async with process.running():
        told = await process.after(**{"LARK_APP_SECRET": "next-secret"} | changes)
        assert [mistake in line for line in told["mistakes"]] == [True]
        assert "hunter2" not in str(told)
        assert process.apps.get("default").secret.get_secret_value() == "first-secret"
        assert (process.keys.key_ids, process.rereads) == (before, 0)


async def test_without_postgres_the_secrets_are_taken_up_all_the_same(process: Process) -> None:
    process.database_is_away = True
    async with process.running():
        await process.after(LARK_APP_SECRET="next-secret")
    assert process.apps.get("default").secret.get_secret_value() == "next-secret"
