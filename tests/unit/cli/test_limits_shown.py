"""The table of buckets, from what the sources said."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from pydantic import SecretStr
from rich.console import Console

from cli.limits.known import UNLIMITED, Keys
from cli.limits.picture import Overflow, Picture, Row, rows_of
from cli.limits.show import drawn
from gateway.apps import App
from gateway.catalogue import Catalogue
from gateway.dimensions import Dimensions
from gateway.limits.buckets import Bucket
from gateway.limits.told import Fleet
from gateway.limits.view import Seen, Use
from gateway.site_limits import load_limits_file
from schemas.apis import ApiTable, parse_windows

SEND = "POST /open-apis/im/v1/messages"
CHAT = "chat:https://open.feishu.cn|chat_id|oc_1"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    path = tmp_path_factory.mktemp("site") / "limits.toml"
    path.write_text('[apps.hr]\ntotal = "30/1"\n[apps.hr.limits]\n"' + SEND + '" = "7/1"\n')
    return Catalogue(ApiTable.load(), load_limits_file(path))


def seen(bucket: Bucket, *used: int, **facts: object) -> Seen:
    uses = tuple(Use(w.limit, n) for w, n in zip(bucket.windows, used, strict=True))
    nothing = {
        "paused_for": 0.0,
        "canary": False,
        "factor": 1.0,
        "factor_for": 0.0,
        "extra_margin": 0.0,
        "forgotten_in": 0.0,
        "under_way": 0,
        "interactive": False,
    }
    return Seen(bucket, windows=uses, **(nothing | facts))


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/open-apis/im/v1/messages", {"receive_id_type": "chat_id"}, {"receive_id": "o"}),
        ("POST", "/open-apis/im/v1/messages", {"receive_id_type": "open_id"}, {"receive_id": "o"}),
        ("POST", "/open-apis/bitable/v1/apps/a/tables/t/records", {}, {}),
        ("POST", "/open-apis/docx/v1/documents/d/blocks/b/children", {}, {}),
        ("POST", "/open-apis/drive/v1/files/create_folder", {}, {}),
        ("PUT", "/open-apis/cardkit/v1/cards/c", {}, {}),
        ("GET", "/open-apis/contact/v3/users/u", {}, None),
        ("GET", "/open-apis/nowhere/v9/x", {}, None),
    ],
)
@pytest.mark.parametrize(("alias", "tenant"), [("default", None), ("hr", None), ("shop", "t1")])
def test_a_key_says_what_the_gateway_made_it_of(
    catalogue: Catalogue,
    alias: str,
    tenant: str | None,
    method: str,
    path: str,
    query: dict[str, str],
    body: object,
) -> None:
    app = App(alias, "", SecretStr(""), "https://open.feishu.cn")
    route = catalogue.route(method, path)
    for bucket in Dimensions(catalogue).buckets(app, tenant, route, path, query, body):
        named = Keys(catalogue).read(bucket.key)
        assert named.bucket == bucket
        assert named.app in (alias, None)


@pytest.mark.parametrize("key", ["", "x", "a|b|c|d", "default||~0123456789abcdef", "chat:"])
def test_a_key_that_nothing_explains_is_counted_by_the_minute_and_second(
    catalogue: Catalogue, key: str
) -> None:
    named = Keys(catalogue).read(key)
    assert named.bucket.key == key
    if not key.startswith("chat:"):
        assert [str(w) for w in named.bucket.windows] == [f"{UNLIMITED}/60", f"{UNLIMITED}/1"]


def test_rows_come_from_any_source_and_an_app_sees_its_own_and_the_shared(
    catalogue: Catalogue,
) -> None:
    keys = Keys(catalogue)
    fleet = Fleet(Counter(), Counter({(CHAT, "bulk"): 3}), {})
    overflow = {(f"hr||{SEND}", "interactive"): Overflow(9)}
    bucket = Bucket(f"default||{SEND}", parse_windows("1000/60;50/1"), name=SEND)
    rows = rows_of(keys, {bucket.key: seen(bucket, 640, 12)}, fleet, overflow)
    assert [row.named.bucket.key for row in rows] == [CHAT, bucket.key, f"hr||{SEND}"]
    rows = rows_of(keys, {bucket.key: seen(bucket, 640, 12)}, fleet, overflow, app="hr")
    assert [row.named.app for row in rows] == [None, "hr"]
    assert rows[1].as_json()["windows"] == [{"seconds": 1, "used": 0, "limit": 7, "limit_now": 7}]
    assert rows[1].as_json()["overflow"] == {"interactive": {"calls": 9, "oldest": None}}
    assert rows[0].as_json()["in_hand"] == {"bulk": 3}


def test_the_table_shows_what_holds_calls_up(catalogue: Catalogue) -> None:
    keys = Keys(catalogue)
    bucket = keys.read(f"default||{SEND}").bucket
    facts = {
        "paused_for": 2.0,
        "canary": True,
        "factor": 0.8,
        "factor_for": 600.0,
        "extra_margin": 0.05,
        "forgotten_in": 86_000.0,
    }
    table = keys.read("table:https://open.feishu.cn|app|tbl")
    rows = [
        Row(
            keys.read(bucket.key),
            seen(bucket, 640, 12, **facts),
            {"bulk": 3},
            {"bulk": Overflow(40, 75.0)},
        ),
        Row(table, seen(table.bucket, under_way=1), {}, {"bulk": Overflow(None)}),
    ]
    out = io.StringIO()
    picture = Picture(rows, 2, Counter(redis=2), ["Postgres cannot be asked: gone"])
    Console(file=out, width=200).print(drawn(picture))
    text = out.getvalue()
    for words in (
        *("Processes alive: 2 (2 redis)", "default api", SEND, "1000/60: 640", "50/1: 12"),
        *("2.0 s canary", "80% of the limit, for 10 min", "+0.050 s, at most 24 h", "3 bulk"),
        *("40 bulk, oldest 75 s", "shared table", "app tbl", "1 of 1", "? bulk"),
        "Postgres cannot be asked: gone",
    ):
        assert words in text, text


def test_only_what_nobody_uses_or_waits_for_is_idle(catalogue: Catalogue) -> None:
    named = Keys(catalogue).read(f"default||{SEND}")
    idle = seen(named.bucket, 0, 0)
    assert Row(named, idle, {}, {}).is_idle
    assert Row(named, None, {}, {"bulk": Overflow(0)}).is_idle
    assert not Row(named, idle, {"bulk": 1}, {}).is_idle
    assert not Row(named, idle, {}, {"bulk": Overflow(None)}).is_idle
    assert not Row(named, seen(named.bucket, 1, 0), {}, {}).is_idle
    assert not Row(named, seen(named.bucket, 0, 0, factor=0.9), {}, {}).is_idle


@pytest.mark.parametrize(
    ("key", "of"),
    [
        (CHAT, "chat_id oc_1"),
        ("user:default||open_id|ou_1", "open_id ou_1"),
        ("drive:default|", "all calls"),
        ("app:hr|", "all calls"),
        ("app:hr|t1", "all calls, tenant t1"),
        ("drive:hr|t1", "all calls, tenant t1"),
        ("user:hr|t1|open_id|ou_1", "open_id ou_1, tenant t1"),
        (f"default|t1|{SEND}", f"{SEND}, tenant t1"),
    ],
)
def test_what_a_bucket_is_of_is_said_without_whose_it_is(
    catalogue: Catalogue, key: str, of: str
) -> None:
    assert Keys(catalogue).read(key).of == of
