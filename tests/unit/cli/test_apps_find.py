"""Which app a command line means, and what is said of one that cannot be asked about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from cli.apps.find import stored_app
from cli.apps.validation import Verdict, validate_app
from cli.exits import FAILED, USAGE, CommandFailed
from gateway.app_rows import Registry, StoredApp
from gateway.apps import App, AppStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SALES = App("sales", "cli_1", SecretStr("s"), "https://open.feishu.cn")
LARK = App("lark", "cli_1", SecretStr("s"), "https://open.larksuite.com")
HR = App("hr", "cli_2", SecretStr("s"), "https://open.feishu.cn")


def registry(*apps: App) -> Registry:
    rows = {app.alias: StoredApp(app, {}, 1, NOW, NOW, NOW) for app in apps}
    return Registry(1, rows, {})


@pytest.mark.parametrize("name", ["hr", "cli_2"])
def test_an_app_is_found_by_its_alias_and_by_its_app_id(name: str) -> None:
    assert stored_app(registry(SALES, HR), name).app == HR


def test_an_app_id_of_several_apps_names_none_of_them() -> None:
    with pytest.raises(CommandFailed, match="Several apps have the app id cli_1: name one of"):
        stored_app(registry(SALES, LARK), "cli_1")
    gone = replace(SALES, status=AppStatus.REMOVED)
    assert stored_app(registry(gone, LARK), "cli_1").app == LARK


@pytest.mark.parametrize("name", ["nobody", "cli_3", "", "default"])
def test_what_is_not_stored_is_a_mistake_of_the_command_line(name: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        stored_app(registry(SALES, HR), name)
    assert failed.value.code == USAGE


async def test_a_secret_that_cannot_be_read_is_told_and_nobody_is_asked() -> None:
    validation = await validate_app(replace(SALES, unreadable="no key opens it"))

    assert (validation.verdict, validation.exit_code) == (Verdict.UNREADABLE, FAILED)
    assert "no key opens it" in validation.message
    assert validation.as_json()["ok"] is False
