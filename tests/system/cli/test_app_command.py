"""`lark-service app`: apps come, change and go by commands, and no secret is shown."""

from __future__ import annotations

import asyncio
import os
import pty
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiormq
import pytest

from gateway.database import Database
from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET, SandboxFeishu
from sandbox.feishu.faults import Rule
from sandbox.feishu.tickets import StoreApp
from sandbox.feishu.tokens import TENANT_TOKEN
from schemas import names
from tests.support.command import COMMAND, Ran, plain_environment, run

SECRET = "s0Me-app-Secret-0f-32-characters"
NEW_SECRET = "an0ther-app-Secret-0f-32-charact"
KEY = "ab" * 32


@dataclass
class Desk:
    """An operator's terminal, and the Feishu behind it."""

    simulated: SandboxFeishu
    folder: Path
    settings: dict[str, str]
    rabbitmq_url: str
    database: Database

    async def run(self, *words: str, stdin: str = "", **settings: str) -> Ran:
        ran = await run(*words, folder=self.folder, stdin=stdin, **self.settings | settings)
        assert SECRET not in ran.out + ran.err
        assert NEW_SECRET not in ran.out + ran.err
        return ran

    def at_feishu(self, secret: str = SECRET) -> str:
        """Have Feishu know an app; returns its id."""
        app_id = f"cli_{secrets.token_hex(8)}"
        self.simulated.world.tokens.apps[app_id] = secret
        return app_id

    async def add(self, alias: str, *words: str) -> str:
        """Have an app added; returns its id."""
        app_id = self.at_feishu()
        ran = await self.run(
            "app", "add", alias, "--app-id", app_id, "--secret-file", "-", *words, stdin=SECRET
        )
        assert ran.code == 0, ran.err
        return app_id

    async def shown(self, name: str) -> Any:
        """What `app show` says of an app."""
        ran = await self.run("app", "show", name, "--json")
        assert ran.code == 0, ran.err
        return ran.json["app"]

    async def depth(self, queue: str) -> int | None:
        """Calls in a queue; raises where there is none."""
        connection = await aiormq.connect(self.rabbitmq_url)
        try:
            channel = await connection.channel()
            return (await channel.queue_declare(queue, passive=True)).message_count
        finally:
            await connection.close()

    @property
    def token_requests(self) -> int:
        return self.simulated.world.ledger.requests[TENANT_TOKEN]

    def fail_token_requests(self, **fault: object) -> None:
        template = TENANT_TOKEN.partition(" ")[2]
        self.simulated.world.script.rules.append(Rule.parse({"template": template, **fault}))


@pytest.fixture
async def desk(
    simulated: SandboxFeishu, rabbitmq_url: str, database_url: str, tmp_path: Path
) -> AsyncIterator[Desk]:
    settings = {
        "LARK_APP_ID": DEFAULT_APP_ID,
        "LARK_APP_SECRET": DEFAULT_SECRET,
        "LARK_DOMAIN": simulated.url,
        "LARK_SERVICE_SECRET_KEY": KEY,
        "RABBITMQ_URL": rabbitmq_url,
        "DATABASE_URL": database_url,
    }
    database = Database(database_url)
    yield Desk(simulated, tmp_path, settings, rabbitmq_url, database)
    simulated.world.script.rules.clear()
    await database.migrate()
    await database.execute("DELETE FROM pools")
    await database.execute("DELETE FROM apps")
    await database.execute("DELETE FROM app_audit")
    await database.close()


async def test_an_added_app_is_listed_beside_the_one_of_the_environment_and_has_queues(
    desk: Desk,
) -> None:
    before = desk.token_requests
    (desk.folder / "secret").write_text(f"{SECRET}\n")
    app_id = desk.at_feishu()

    added = await desk.run(
        *("app", "add", "sales", "--app-id", app_id, "--secret-file", "secret", "--json")
    )
    listed = await desk.run("app", "list", "--json")

    assert added.code == 0, added.err
    assert added.json["validation"]["verdict"] == "ok"
    assert desk.token_requests == before + 1
    own, sales = listed.json["apps"]
    assert (own["alias"], own["source"]) == ("default", "environment")
    assert sales == added.json["app"]
    assert (sales["app_id"], sales["kind"], sales["status"]) == (app_id, "self_built", "enabled")
    assert sales["domain"] == desk.simulated.url
    for lane in names.LANES:
        assert await desk.depth(names.calls_queue("sales", lane)) == 0


async def test_people_see_a_table_of_apps_and_the_record_of_one(desk: Desk) -> None:
    app_id = await desk.add("sales")
    await desk.run("app", "disable", "sales")

    listed = await desk.run("app", "list")
    shown = await desk.run("app", "show", app_id)

    assert "sales" in listed.out
    assert "disabled" in listed.out
    first, second = shown.out.rstrip().splitlines()[-2:]
    assert "disable by " in first
    assert "add by " in second
    assert app_id in second


@pytest.mark.parametrize(
    ("fault", "code", "verdict"),
    [
        ({"code": 10014, "status": 200}, 3, "credentials_invalid"),
        ({"code": 20069, "status": 200}, 6, "app_unavailable"),
        ({"code": 99991401, "status": 400}, 1, "refused"),
        ({"status": 503, "count": 9}, 4, "unreachable"),
    ],
)
async def test_what_feishu_does_not_take_is_not_stored_and_validate_ends_by_the_reason(
    desk: Desk, fault: dict[str, object], code: int, verdict: str
) -> None:
    app_id = desk.at_feishu()
    add = ("app", "add", "sales", "--app-id", app_id, "--secret-file", "-")
    desk.fail_token_requests(**fault)
    refused = await desk.run(*add, stdin=SECRET)
    desk.simulated.world.script.rules.clear()
    stored = await desk.run(*add, "--no-validate", stdin=SECRET)
    desk.fail_token_requests(**fault)

    validated = await desk.run("app", "validate", "sales", "--json")

    assert refused.code == code
    assert f"Nothing was stored: {verdict}" in refused.err
    assert stored.code == 0, stored.err
    assert validated.code == code
    assert (validated.json["ok"], validated.json["verdict"]) == (False, verdict)


async def test_validate_takes_an_alias_or_an_app_id_and_touches_no_stored_token(desk: Desk) -> None:
    app_id = await desk.add("sales")

    for name in ("sales", app_id, "default"):
        ran = await desk.run("app", "validate", name)
        assert ran.code == 0, ran.err

    rows = await desk.database.fetch("SELECT 1 FROM tokens WHERE app_id = $1", app_id)
    assert not rows


async def test_an_app_of_the_store_is_checked_by_asking_for_its_ticket(desk: Desk) -> None:
    app_id = desk.at_feishu()
    words = ("app", "add", "market", "--app-id", app_id, "--kind", "store", "--secret-file", "-")
    before = desk.token_requests
    built = await desk.run(*words, stdin=SECRET)
    desk.simulated.world.tickets.apps[app_id] = StoreApp()
    wrong = await desk.run(*words, stdin=NEW_SECRET)
    added = await desk.run(*words, stdin=SECRET)
    validated = await desk.run("app", "validate", "market", "--json")

    assert built.code == 1
    assert "Only store apps have an app ticket" in built.err
    assert wrong.code == 3
    assert added.code == 0, added.err
    assert "lark-service app set-ticket market" in added.out
    assert (validated.code, validated.json["verdict"]) == (0, "ok")
    assert desk.simulated.world.tickets.apps[app_id].ticket
    assert desk.token_requests == before


async def test_a_new_secret_is_stored_once_feishu_takes_it(desk: Desk) -> None:
    app_id = await desk.add("sales")
    before = await desk.shown("sales")
    change = ("app", "set-secret", "sales", "--secret-file", "-")

    wrong = await desk.run(*change, stdin=NEW_SECRET)
    unchanged = await desk.shown("sales")
    desk.simulated.world.tokens.apps[app_id] = NEW_SECRET
    right = await desk.run(*change, stdin=NEW_SECRET)
    after = await desk.shown("sales")
    validated = await desk.run("app", "validate", "sales")

    assert wrong.code == 3
    assert unchanged == before
    assert right.code == 0, right.err
    assert after["secret_changed_at"] > before["secret_changed_at"]
    assert validated.code == 0, validated.err


async def test_a_secret_is_asked_for_without_being_shown(desk: Desk) -> None:
    app_id = desk.at_feishu()
    typed, output = await _at_a_terminal(
        desk, "app", "add", "sales", "--app-id", app_id, type_=f"{SECRET}\n"
    )
    assert typed == 0, output
    assert SECRET not in output
    assert (await desk.shown("sales"))["app_id"] == app_id


async def _at_a_terminal(desk: Desk, *words: str, type_: str) -> tuple[int, str]:
    """Run a command whose standard input is a terminal, and type into it."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *words),
        env=plain_environment() | desk.settings,
        cwd=desk.folder,
        stdin=theirs,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(theirs)
    assert process.stdout is not None
    # What is typed before the prompt is thrown away.
    prompt = await process.stdout.readuntil(b"(it is not shown)")
    os.write(ours, type_.encode())
    rest, _ = await process.communicate()
    os.close(ours)
    return int(process.returncode or 0), (prompt + rest).decode()


@pytest.mark.parametrize(
    ("words", "settings", "complaint"),
    [
        (("add", "default", "--app-id", "cli_x"), {}, "The alias 'default' is the app that"),
        (("add", "Sales", "--app-id", "cli_x"), {}, "'Sales' is no alias"),
        (("add", "sales", "--app-id", DEFAULT_APP_ID), {}, "is the app 'default' already"),
        (
            ("add", "sales", "--app-id", "cli_x"),
            {"LARK_SERVICE_SECRET_KEY": ""},
            "set LARK_SERVICE_SECRET_KEY",
        ),
        (("add", "sales", "--app-id", "cli_x"), {}, "No app secret is given"),
        (("set-secret", "default"), {}, "LARK_APP_SECRET and LARK_DOMAIN configure it"),
        (("enable", "nobody"), {}, "No app has the alias or the app id 'nobody'"),
        (("set-limits", "nobody"), {}, "Give either --file PATH or --clear"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(
    desk: Desk, words: tuple[str, ...], settings: dict[str, str], complaint: str
) -> None:
    ran = await desk.run("app", *words, **settings)

    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err


async def test_limits_of_an_app_are_set_from_a_file_explained_and_cleared(desk: Desk) -> None:
    await desk.add("sales")
    api = "GET /open-apis/im/v1/chats"
    explain = ("limits", "explain", *api.split(), "--app", "sales")
    text = f'total = "100/60"\n[limits]\n"{api}" = "2/1"\n"GET /open-apis/new/v1/x" = "1/1"\n'

    ran = await desk.run("app", "set-limits", "sales", "--file", "-", stdin=text)
    shown = await desk.shown("sales")
    explained = await desk.run(*explain)
    cleared = await desk.run("app", "set-limits", "sales", "--clear")
    again = await desk.run(*explain)

    assert ran.code == 0, ran.err
    assert "does not list GET /open-apis/new/v1/x" in ran.err
    assert shown["limits"]["total"] == "100/60"
    assert shown["limits"]["limits"][api] == "2/1"
    assert "lark-service app set-limits sales, [limits]" in explained.out
    assert "lark-service app set-limits sales, total" in explained.out
    assert cleared.code == 0, cleared.err
    assert "set-limits" not in again.out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('total = "much"', "lark-service app set-limits sales: [apps.sales] 'total': 'much'"),
        ('[limits]\n"HEAD /x" = "1/1"', "[apps.sales.limits] 'HEAD /x': write a method"),
        ("total =", "--file: - is no TOML file"),
    ],
)
async def test_wrong_limits_are_refused_as_in_the_file(
    desk: Desk, text: str, complaint: str
) -> None:
    await desk.add("sales")

    ran = await desk.run("app", "set-limits", "sales", "--file", "-", stdin=text)

    assert ran.code == 2
    assert complaint in ran.err
    assert (await desk.shown("sales"))["limits"] == {}


async def test_an_app_is_disabled_enabled_and_removed_after_confirmation(desk: Desk) -> None:
    await desk.add("sales")

    disabled = await desk.run("app", "disable", "sales", "--json")
    enabled = await desk.run("app", "enable", "sales", "--json")
    unconfirmed = await desk.run("app", "remove", "sales")
    removed = await desk.run("app", "remove", "sales", "--yes", "--json")
    late = await desk.run("app", "enable", "sales")

    assert disabled.json["app"]["status"] == "disabled"
    assert enabled.json["app"]["status"] == "enabled"
    assert (unconfirmed.code, "confirm it with --yes" in unconfirmed.err) == (2, True)
    assert removed.json["app"]["status"] == "removed"
    assert (late.code, "is being removed" in late.err) == (2, True)


async def test_what_was_stored_without_queues_says_how_to_declare_them(desk: Desk) -> None:
    app_id = desk.at_feishu()
    ran = await desk.run(
        *("app", "add", "sales", "--app-id", app_id, "--secret-file", "-"),
        stdin=SECRET,
        RABBITMQ_URL="amqp://guest:guest@127.0.0.1:1/",
    )

    assert ran.code == 4
    assert "sales is stored, but its queues are not declared" in ran.err
    assert "lark-service topology apply --app sales" in ran.err
    assert (await desk.shown("sales"))["status"] == "enabled"


async def test_without_postgres_the_app_of_the_environment_can_still_be_validated(
    desk: Desk,
) -> None:
    away = {"DATABASE_URL": "postgresql://lark:pass-word@127.0.0.1:1/lark_service"}

    own = await desk.run("app", "validate", "default", **away)
    listed = await desk.run("app", "list", **away)

    assert own.code == 0, own.err
    assert listed.code == 4
    assert "pass-word" not in listed.err
