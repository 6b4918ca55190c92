"""`lark-service pool`: several apps under one alias."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.app_store import AppStore
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.database import Database
from tests.support.command import Ran, run

Run = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def pool(rabbitmq_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[Run]:
    """Runs `pool` where the apps sales and hr are stored."""
    database = Database(database_url)
    await database.migrate()
    store = AppStore(database, KeyRing([bytes(range(32))]))
    for alias in ("sales", "hr"):
        await store.add(App(alias, f"cli_{alias}", SecretStr("a-secret"), "https://open.feishu.cn"))

    async def ran(*words: str) -> Ran:
        settings = {
            "LARK_APP_ID": "cli_1",
            "LARK_APP_SECRET": "secret",
            "RABBITMQ_URL": rabbitmq_url,
            "DATABASE_URL": database_url,
        }
        return await run("pool", *words, folder=tmp_path, **settings)

    yield ran
    await database.execute("DELETE FROM pools")
    await database.execute("DELETE FROM apps")
    await database.execute("DELETE FROM app_audit")
    await database.close()


async def test_a_pool_is_added_changed_shown_and_removed(pool: Run) -> None:
    added = await pool("add", "contacts", "--apps", "sales, default", "--json")
    changed = await pool("set", "contacts", "--apps", "sales,hr")
    listed = await pool("list")
    shown = await pool("show", "contacts", "--json")
    unconfirmed = await pool("remove", "contacts")
    removed = await pool("remove", "contacts", "--yes", "--json")
    afterwards = await pool("list", "--json")

    assert added.code == 0, added.err
    assert [app["alias"] for app in added.json["pool"]["apps"]] == ["sales", "default"]
    assert changed.code == 0, changed.err
    assert "sales, hr" in listed.out
    assert [app["alias"] for app in shown.json["pool"]["apps"]] == ["sales", "hr"]
    actions = [change["action"] for change in shown.json["changes"]]
    assert actions == ["pool-set", "pool-add"]
    assert unconfirmed.code == 2
    assert removed.json["pool"]["status"] == "removed"
    assert afterwards.json["pools"][0]["status"] == "removed"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("add", "contacts", "--apps", ","), "A pool needs at least one app"),
        (("add", "contacts", "--apps", "sales,nobody"), "No app has the alias 'nobody'"),
        (("add", "sales", "--apps", "hr"), "There is an app 'sales' already"),
        (("show", "contacts"), "No pool has the alias 'contacts'"),
    ],
)
async def test_what_cannot_be_a_pool_is_refused_with_the_reason(
    pool: Run, words: tuple[str, ...], complaint: str
) -> None:
    ran = await pool(*words)

    assert ran.code == 2
    assert complaint in ran.err
