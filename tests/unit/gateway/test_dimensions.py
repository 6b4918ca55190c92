"""Which buckets a call takes from, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.apps import App
from gateway.catalogue import Catalogue
from gateway.dimensions import Dimensions
from gateway.limit_rules import KINDS, Cap, limit_rules
from gateway.limits.buckets import Bucket
from gateway.site_limits import AppLimits, SiteLimits, read_app_limits
from schemas.apis import ApiTable, Window
from tests.support.builders import APP, dimensions, make_job

TABLE = ApiTable.load()
OTHER = App("other", "cli_2", APP.secret, APP.domain)
ABROAD = App("default", "cli_3", APP.secret, "https://open.larksuite.com")
CHAT = {"receive_id_type": "chat_id"}
BASE = "/open-apis/bitable/v1/apps/base"
DOCUMENT = "/open-apis/docx/v1/documents/doc"
DAY = (Window(10000, 86400),)


def buckets(
    method: str, path: str, query: Any = None, body: Any = None, **how: Any
) -> tuple[Bucket, ...]:
    known: Dimensions = how.pop("by", dimensions())
    full = path if path.startswith("/open-apis/") else f"/open-apis/{path}"
    return known.buckets(
        how.pop("app", APP),
        how.pop("tenant", None),
        known.catalogue.route(method, full),
        full,
        query or {},
        body,
    )


def other(*call: Any, **how: Any) -> Bucket | None:
    """The one bucket of a call beside its API's, if there is one."""
    _, *others = buckets(*call, **how)
    assert len(others) <= 1
    return others[0] if others else None


def kind_of(*call: Any, **how: Any) -> str | None:
    bucket = other(*call, **how)
    return bucket.name if bucket else None


@pytest.mark.parametrize(
    ("query_type", "kind"),
    [
        ("chat_id", "chat"),
        ("thread_id", "chat"),
        ("open_id", "user"),
        ("union_id", "user"),
        ("user_id", "user"),
        ("email", "user"),
        ("new_id", None),
        (["chat_id"], None),
        (None, None),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "im/v1/messages",
        "im/v1/messages/om_1/forward",
        "im/v1/messages/merge_forward",
        "im/v1/threads/omt_1/forward",
    ],
)
def test_a_message_takes_from_its_receiver(path: str, query_type: Any, kind: str | None) -> None:
    found = other("POST", path, {"receive_id_type": query_type}, {"receive_id": "id_1"})
    assert (found.name if found else None) == kind
    if found:
        assert (found.windows, found.at_once) == ((Window(5, 1),), 0)
        assert found.key.endswith(f"|{query_type}|id_1")


@pytest.mark.parametrize("body", [None, [], "x", {}, {"receive_id": ""}, {"receive_id": 5}])
def test_a_message_without_a_receiver_has_no_bucket_of_one(body: Any) -> None:
    assert other("POST", "im/v1/messages", CHAT, body) is None


def test_whoever_sends_it_and_however_a_message_to_one_chat_takes_from_one_bucket() -> None:
    body = {"receive_id": "oc_1"}
    one = other("POST", "im/v1/messages", CHAT, body)
    assert one is not None
    assert one == other("POST", "im/v1/messages/merge_forward", CHAT, body, app=OTHER)
    assert one == other("POST", "message/v4/send", {}, {"chat_id": "oc_1"})
    assert one != other("POST", "im/v1/messages", CHAT, {"receive_id": "oc_2"})
    assert one != other("POST", "im/v1/messages", CHAT, body, app=ABROAD)


def test_a_user_is_known_to_each_app_by_another_id() -> None:
    call = ("POST", "im/v1/messages", {"receive_id_type": "open_id"}, {"receive_id": "ou_1"})
    assert other(*call) != other(*call, app=OTHER)
    assert other(*call, tenant="t_1") != other(*call, tenant="t_2")


def test_an_old_message_takes_from_the_first_receiver_that_it_names() -> None:
    assert kind_of("POST", "message/v4/send", {}, {"email": "a@b.cn"}) == "user"
    assert kind_of("POST", "message/v4/send", {}, {"msg_type": "text"}) is None
    both = {"chat_id": "oc_1", "open_id": "ou_1"}
    assert [bucket.name for bucket in buckets("POST", "message/v4/send", {}, both)[1:]] == [
        "chat",
        "user",
    ]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "im/v1/messages/om_1/reply", "message"),
        ("PATCH", "im/v1/messages/om_1", "message"),
        ("PUT", "im/v1/messages/om_1", "message"),
        ("DELETE", "im/v1/messages/om_1", None),
        ("GET", "im/v1/messages/om_1", None),
        ("POST", "im/v1/messages/om_1/reactions", None),
        ("PATCH", "im/v1/messages/om_1/urgent_app", None),
        ("POST", "message/v4/batch_send", None),
        ("POST", f"{BASE}/tables/tbl/records", "table"),
        ("PUT", f"{BASE}/tables/tbl/records/rec", "table"),
        ("POST", f"{BASE}/tables/tbl/records/batch_delete", "table"),
        ("PATCH", f"{BASE}/tables/tbl/views/v", "table"),
        ("DELETE", f"{BASE}/tables/tbl", "table"),
        ("POST", f"{BASE}/tables", "table"),
        ("PUT", BASE, "table"),
        ("GET", BASE, None),
        ("POST", "bitable/v1/apps", None),
        ("POST", f"{BASE}/tables/tbl/records/search", None),
        ("POST", f"{BASE}/tables/tbl/records/batch_get", None),
        ("GET", f"{BASE}/tables/tbl/fields", None),
        ("POST", f"{DOCUMENT}/blocks/b/children", "document"),
        ("POST", f"{DOCUMENT}/blocks/b/descendant", "document"),
        ("PATCH", f"{DOCUMENT}/blocks/batch_update", "document"),
        ("DELETE", f"{DOCUMENT}/blocks/b/children/batch_delete", "document"),
        ("GET", f"{DOCUMENT}/blocks", None),
        ("POST", "docx/v1/documents", None),
        ("POST", "docx/v1/documents/blocks/convert", None),
        ("POST", "drive/v1/files/upload_all", "drive"),
        ("POST", "drive/v1/medias/upload_part", "drive"),
        ("POST", "drive/v1/files/create_folder", "drive"),
        ("POST", "drive/v1/files/f/copy", "drive"),
        ("POST", "drive/v1/files/f/move", "drive"),
        ("DELETE", "drive/v1/files/f", "drive"),
        ("GET", "drive/v1/files/f/download", None),
        ("POST", "drive/v1/files/f/comments", None),
        ("POST", "drive/v1/import_tasks", None),
        ("PUT", "cardkit/v1/cards/c", "card"),
        ("PATCH", "cardkit/v1/cards/c/settings", "card"),
        ("PUT", "cardkit/v1/cards/c/elements/e/content", "card"),
        ("POST", "cardkit/v1/cards", None),
        ("POST", "cardkit/v1/cards/id_convert", None),
        ("POST", "optical_char_recognition/v1/image/basic_recognize", "tenant"),
        ("POST", "document_ai/v1/id_card/recognize", "tenant"),
    ],
)
def test_a_call_takes_from_what_it_touches(method: str, path: str, kind: str | None) -> None:
    assert kind_of(method, path) == kind


@pytest.mark.parametrize(
    ("method", "path", "cap"),
    [
        ("PUT", "im/v1/messages/om_1", Cap((Window(5, 1),))),
        ("POST", f"{BASE}/tables/tbl/records", Cap((), 1)),
        ("POST", f"{DOCUMENT}/blocks/b/children", Cap((Window(3, 1),))),
        ("POST", "drive/v1/files/f/move", Cap(DAY, 1)),
        ("PUT", "cardkit/v1/cards/c", Cap((), 1)),
        ("POST", "translation/v1/text/translate", Cap((Window(20, 1),))),
        ("POST", "document_ai/v1/resume/parse", Cap((Window(10, 1),))),
    ],
)
def test_every_kind_has_its_documented_cap(method: str, path: str, cap: Cap) -> None:
    bucket = other(method, path)
    assert bucket is not None
    assert Cap(bucket.windows, bucket.at_once) == cap


def test_writes_to_one_table_share_a_bucket_and_those_of_another_do_not() -> None:
    records = other("POST", f"{BASE}/tables/tbl/records")
    assert records == other("DELETE", f"{BASE}/tables/tbl/fields/f", app=OTHER)
    assert records != other("POST", f"{BASE}/tables/tb2/records")
    base = other("POST", f"{BASE}/tables")
    assert base == other("POST", f"{BASE}/tables/batch_create")
    assert base not in (records, other("PUT", "bitable/v1/apps/base2"))


def test_what_an_app_does_in_drive_shares_one_bucket_of_the_app() -> None:
    upload = other("POST", "drive/v1/files/upload_all")
    assert upload == other("DELETE", "drive/v1/files/f")
    assert upload != other("DELETE", "drive/v1/files/f", app=OTHER)


def test_apps_of_one_tenant_share_the_budget_of_each_recognition_api() -> None:
    detect, translate = "translation/v1/text/detect", "translation/v1/text/translate"
    assert other("POST", detect) == other("POST", detect, app=OTHER)
    assert other("POST", detect) != other("POST", translate)
    assert other("POST", detect, tenant="t_1") == other("POST", detect, app=OTHER, tenant="t_1")
    assert other("POST", detect, tenant="t_1") != other("POST", detect, tenant="t_2")


def test_an_id_is_the_same_in_whatever_way_it_is_written() -> None:
    plain = other("POST", "docx/v1/documents/a:b/blocks/x/children")
    assert plain == other("POST", "docx/v1/documents/a%3Ab/blocks/x/children")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text())
def test_a_receivers_key_is_short_and_safe_whatever_the_producer_writes(
    receiver: str, unused: str
) -> None:
    found = other("POST", "im/v1/messages", CHAT, {"receive_id": receiver, unused: 1})
    assert (found is None) is (receiver == "")
    if found:
        assert len(found.key) < 200
        assert found.key.isascii()
        assert not set("{}\n\r\0 ") & set(found.key.replace(receiver, ""))
        assert "{" not in found.key


def test_an_unlisted_api_takes_from_its_cautious_bucket_and_from_what_it_touches() -> None:
    own, table = buckets("POST", f"{BASE}/tables/tbl/new/thing")
    assert own.name == "POST /open-apis/bitable/v1/*"
    assert own.windows == (Window(5, 1),)
    assert table == other("POST", f"{BASE}/tables/tbl/records")
    assert other("POST", "new/v1/things/1") is None
    assert other("POST", f"{BASE}/tables/tb2/new/thing") != table


def test_the_first_bucket_is_the_apis_own_named_after_it() -> None:
    own = buckets("POST", f"{BASE}/tables/tbl/records", tenant="t_1")[0]
    name = "POST /open-apis/bitable/v1/apps/:app_token/tables/:table_id/records"
    assert own == Bucket(f"default|t_1|{name}", (Window(50, 1),), 0, name)


def test_the_site_caps_an_app_overrides_its_apis_and_changes_or_lifts_a_kind() -> None:
    api, mine = "GET /open-apis/im/v1/chats", (Window(2, 1),)
    site = SiteLimits(
        apps={"default": AppLimits((Window(1000, 60),), {api: mine})},
        resources={"table": Cap((Window(9, 1),), 2), "document": None},
    )
    by = Dimensions(Catalogue(TABLE, site))
    own, total = buckets("GET", "im/v1/chats", by=by)
    assert (own.windows, total.windows, total.name) == (mine, (Window(1000, 60),), "app")
    assert total == buckets("POST", f"{DOCUMENT}/blocks/b/children", by=by)[1]
    assert buckets("GET", "im/v1/chats", by=by, app=OTHER) == buckets(
        "GET", "im/v1/chats", app=OTHER
    )
    table = other("POST", f"{BASE}/tables/tbl/records", by=by, app=OTHER)
    before = other("POST", f"{BASE}/tables/tbl/records")
    assert table is not None
    assert before is not None
    assert (table.windows, table.at_once, table.key) == ((Window(9, 1),), 2, before.key)


def test_other_limits_hold_from_the_next_call_on() -> None:
    by = Dimensions(Catalogue(TABLE))
    before = buckets("GET", "im/v1/chats", by=by)
    mine = read_app_limits("default", {"limits": {"GET /open-apis/im/v1/chats": "2/1"}})

    by.replace(by.catalogue.with_apps({"default": mine}))
    after = buckets("GET", "im/v1/chats", by=by)

    assert after[0].key == before[0].key
    assert after[0].windows == (Window(2, 1),) != before[0].windows


def test_what_explains_a_call_names_the_same_buckets() -> None:
    known, query, body = dimensions(), CHAT, {"receive_id": "oc_1"}
    path = "/open-apis/im/v1/messages"
    call = (APP, None, known.catalogue.route("POST", path), path, query, body)
    shares = known.shares(*call)
    assert tuple(share.bucket for share in shares) == known.buckets(*call)
    assert [share.ids for share in shares] == [(f"POST {path}",), ("chat_id", "oc_1")]
    assert all(share.source for share in shares)


def test_every_api_has_a_bucket_and_writes_have_those_of_what_they_touch() -> None:
    known = dimensions()
    rooms = {"bitable/v1": "table", "docx/v1": "document", "cardkit/v1": "card"}
    routes = list(known.catalogue)
    assert len(routes) == 1742
    for route in routes:
        path = "/".join(
            f"x{index}" if segment.startswith(":") else segment
            for index, segment in enumerate(route.template.split("/"))
        )
        own, *others = known.buckets(APP, None, route, path, CHAT, {"receive_id": "oc_1"})
        kinds = [bucket.name for bucket in others]
        assert (own.name, own.windows) == (route.name, route.windows)
        assert set(kinds) <= set(KINDS)
        room = "/".join(route.template.split("/")[2:4])
        if route.klass == "R":
            assert set(kinds) <= {"tenant"}, route.name
        elif room in rooms and route.template.count(":") and "announcement" not in route.template:
            assert kinds == [rooms[room]], route.name
        elif room == "drive/v1":
            assert set(kinds) <= {"drive"}, route.name


def test_the_drive_bucket_is_of_the_apis_that_feishu_lets_nobody_call_at_once() -> None:
    known = dimensions()
    names = {
        route.name.replace("/open-apis/drive/v1/", "")
        for route in known.catalogue
        if any(b.name == "drive" for b in known.buckets(APP, None, route, route.template, {}, None))
    }
    uploads = ("all", "prepare", "part", "finish")
    assert names == {
        *(f"POST {what}/upload_{part}" for what in ("files", "medias") for part in uploads),
        "POST files/create_folder",
        "POST files/:file_token/copy",
        "POST files/:file_token/move",
        "DELETE files/:file_token",
    }


def test_the_table_of_rules_is_well_formed_and_no_rule_is_idle() -> None:
    routes = list(dimensions().catalogue)
    old = ["", "open-apis", "message", "v4", "send"]
    for rule in limit_rules():
        assert rule.kind in (*KINDS, "api")
        assert rule.across in ("app", "tenant", "cloud")
        assert rule.cap != Cap()
        assert rule.source
        assert rule.holds("POST", old, reads=False, filled=True) or any(
            rule.holds(
                route.method, route.template.split("/"), reads=route.klass == "R", filled=False
            )
            for route in routes
        ), rule
    assert {rule.kind for rule in limit_rules()} == {*KINDS, "api"}


@pytest.mark.parametrize(
    ("path", "sequence", "read"),
    [
        ("/open-apis/cardkit/v1/cards/c", 7, 7),
        ("/open-apis/cardkit/v1/cards/c", 0, 0),
        ("/open-apis/cardkit/v1/cards/c", True, None),
        ("/open-apis/cardkit/v1/cards/c", "7", None),
        ("/open-apis/cardkit/v1/cards/c", None, None),
        ("/open-apis/im/v1/messages/om_1", 7, None),
    ],
)
def test_a_card_update_keeps_its_place_among_the_updates(
    path: str, sequence: Any, read: int | None
) -> None:
    klass = "K" if "cards" in path else "I"
    body = {"sequence": sequence, "card": {}}
    job = make_job(klass, method="PUT", path=path, path_params={}, query={}, body=body)
    assert job.sequence == read
    assert len(job.buckets) == 2
