"""`lark-service limits explain`, and every block of docs/limits.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gateway.database import Database
from gateway.limit_rules import API, KINDS, limit_rules
from tests.support.command import run

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
MESSAGES = "/open-apis/im/v1/messages"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the site's file is the one of the document."""
    (toml,) = blocks("toml")
    (tmp_path / "limits.toml").write_text(toml, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("block", blocks("console"))
async def test_the_document_shows_what_its_commands_print(
    folder: Path, block: str, database_url: str
) -> None:
    database = Database(database_url)
    await database.migrate()
    await database.close()
    line, _, shown = block.partition("\n")
    setting, command, *words = shlex.split(line.removeprefix("$ "))
    name, _, value = setting.partition("=")
    assert command == "lark-service"

    ran = await run(*words, folder=folder, **{name: value}, DATABASE_URL=database_url)

    assert (ran.code, ran.err, ran.out) == (0, "", shown)


async def test_the_documents_file_is_accepted_whole(folder: Path) -> None:
    settings = {"LARK_APP_ID": "cli_1", "LARK_APP_SECRET": "s"}

    ran = await run(
        "config",
        "check",
        "--json",
        folder=folder,
        LARK_SERVICE_LIMITS_FILE="limits.toml",
        **settings,
    )

    assert (ran.code, ran.err) == (0, "")


async def test_without_postgres_the_limits_of_the_file_are_explained_with_a_word(
    folder: Path,
) -> None:
    words = ("limits", "explain", "POST", MESSAGES, "--app", "shop")
    ran = await run(*words, folder=folder, DATABASE_URL="postgresql://lark@127.0.0.1:1/none")

    assert ran.code == 0
    assert "app shop" in ran.out
    assert "Without the limits that Postgres may hold for the app: Postgres at 127.0.0.1:1" in (
        ran.err
    )


async def test_json_holds_windows_spans_shares_and_sources(tmp_path: Path) -> None:
    body = '{"receive_id": "ou_1"}'
    query = "receive_id_type=open_id"

    ran = await run(
        "limits", "explain", "post", MESSAGES, "-q", query, "-d", body, "--json", folder=tmp_path
    )

    assert ran.code == 0, ran.err
    assert (ran.json["app"], ran.json["api"], ran.json["known"]) == (
        "default",
        f"POST {MESSAGES}",
        True,
    )
    api, user = ran.json["buckets"]
    assert api == {
        "kind": "api",
        "of": "calls of this API",
        "shared_by": "app default alone",
        "key": f"default||POST {MESSAGES}",
        "windows": [
            {"limit": 1000, "seconds": 60, "held_seconds": 60.35, "bulk_limit": 950},
            {"limit": 50, "seconds": 1, "held_seconds": 1.35, "bulk_limit": 40},
        ],
        "at_once": 0,
        "from": "Feishu's documentation, tier 4",
    }
    assert (user["kind"], user["of"]) == ("user", "messages to user ou_1 (open_id)")
    assert user["from"].startswith("Feishu's documentation, im-v1/message/create")


async def test_an_unlisted_api_is_explained_as_cautious(tmp_path: Path) -> None:
    ran = await run("limits", "explain", "GET", "/open-apis/new/v1/x", folder=tmp_path)

    assert ran.code == 0, ran.err
    assert "GET /open-apis/*, app default" in ran.out
    assert "a cautious default, because Feishu's documentation does not list this API" in ran.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["GET", "/im/v1/messages"], "path: must begin with /open-apis/"),
        (["HEAD", MESSAGES], "method:"),
        (["POST", f"{MESSAGES}/:message_id/reply"], "path_params: 'message_id' is missing"),
        (["POST", MESSAGES, "--body", "{"], "--body: the argument is not JSON"),
        (["POST", MESSAGES, "--body", "@none"], "--body: cannot read none"),
        (["POST", MESSAGES, "--query", "x"], "--query: write key=value, not 'x'"),
        (["POST", MESSAGES, "--app", "A b"], "--app: must be an alias"),
        (["POST"], "Missing argument"),
    ],
)
async def test_what_is_wrong_is_named(tmp_path: Path, words: list[str], complaint: str) -> None:
    ran = await run("limits", "explain", *words, folder=tmp_path)

    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err


async def test_mistakes_in_the_sites_file_are_named_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "l.toml").write_text('[limit]\n[resources]\ntable = "x"\n', encoding="utf-8")

    ran = await run(
        "limits", "explain", "GET", MESSAGES, folder=tmp_path, LARK_SERVICE_LIMITS_FILE="l.toml"
    )

    assert ran.code == 2
    lines = ran.err.splitlines()
    assert lines[0].startswith("ConfigError: l.toml: the file has 'limit'")
    assert lines[1].startswith("ConfigError: l.toml: [resources] 'table': 'x' is no limit")


async def test_the_file_may_name_an_app_that_postgres_does_not_hold_yet(tmp_path: Path) -> None:
    (tmp_path / "l.toml").write_text('[apps.shop]\ntotal = "1/1"\n', encoding="utf-8")
    settings = {
        "LARK_APP_ID": "cli_0123456789abcdef",
        "LARK_APP_SECRET": "Qm9yZWQgYnkgcmFuZG9tbmVz",
    }

    ran = await run(
        "config", "check", folder=tmp_path, LARK_SERVICE_LIMITS_FILE="l.toml", **settings
    )

    assert ran.code == 0, ran.err


def test_the_document_states_the_limits_of_the_table_of_rules() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` (\|.*)$", DOCUMENT, re.MULTILINE))
    assert list(rows) == [API, *KINDS, "app"]
    for rule in limit_rules():
        if rule.kind == API:
            continue
        for window in rule.cap.windows:
            seconds = "a day" if window.seconds == 86_400 else f"{window.seconds} s"
            assert f"{window.limit} in {seconds}" in rows[rule.kind]
        assert (f"{rule.cap.at_once} at once" in rows[rule.kind]) is bool(rule.cap.at_once)
