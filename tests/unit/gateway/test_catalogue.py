from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import (
    CAUTIOUS,
    ApiClass,
    Catalogue,
    KeyPlace,
    Route,
    class_of,
    derive_key,
    with_idempotency_key,
)
from gateway.site_limits import LimitsError
from schemas.apis import ApiTable, Window
from schemas.names import ALIAS, CALL_ID

TABLE = ApiTable.load()
CATALOGUE = Catalogue(TABLE)

aliases = st.from_regex(ALIAS, fullmatch=True)
call_ids = st.from_regex(CALL_ID, fullmatch=True)
segments = st.from_regex(r"[A-Za-z0-9_.:@=~%-]+", fullmatch=True)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])


def test_a_documented_api_has_its_template_limits_class_and_key() -> None:
    assert CATALOGUE.route("POST", "/open-apis/im/v1/messages/om_1/reply") == Route(
        name="POST /open-apis/im/v1/messages/:message_id/reply",
        method="POST",
        template="/open-apis/im/v1/messages/:message_id/reply",
        klass=ApiClass.KEYED,
        windows=(Window(1000, 60), Window(50, 1)),
        idempotency_key=KeyPlace("body", "uuid"),
        tokens=frozenset({"tenant", "user"}),
        known=True,
    )


@pytest.mark.parametrize(
    ("method", "path", "klass"),
    [
        ("GET", "/open-apis/im/v1/messages/om_1", "R"),
        ("POST", "/open-apis/bitable/v1/apps/a/tables/t/records/search", "R"),
        ("POST", "/open-apis/contact/v3/users/batch_get_id", "R"),
        ("POST", "/open-apis/search/v2/message", "R"),
        ("POST", "/open-apis/document_ai/v1/id_card/recognize", "R"),
        ("POST", "/open-apis/speech_to_text/v1/speech/stream_recognize", "N"),
        ("PUT", "/open-apis/im/v1/messages/om_1", "I"),
        ("PATCH", "/open-apis/im/v1/messages/om_1", "I"),
        ("DELETE", "/open-apis/im/v1/messages/om_1", "I"),
        ("POST", "/open-apis/im/v1/messages", "K"),
        ("POST", "/open-apis/im/v1/chats", "K"),
        ("POST", "/open-apis/bitable/v1/apps/a/tables/t/records", "K"),
        ("POST", "/open-apis/calendar/v4/calendars/c/events", "K"),
        ("POST", "/open-apis/approval/v4/instances", "K"),
        ("POST", "/open-apis/task/v2/tasks", "K"),
        ("PUT", "/open-apis/cardkit/v1/cards/c", "K"),
        ("DELETE", "/open-apis/docx/v1/documents/d/blocks/b/children/batch_delete", "K"),
        ("POST", "/open-apis/docx/v1/documents", "N"),
        ("POST", "/open-apis/im/v1/images", "N"),
        ("POST", "/open-apis/message/v4/batch_send", "N"),
        ("GET", "/open-apis/new/v1/things", "R"),
        ("PUT", "/open-apis/new/v1/things/1", "I"),
        ("PATCH", "/open-apis/new/v1/things/1", "I"),
        ("DELETE", "/open-apis/new/v1/things/1", "I"),
        ("POST", "/open-apis/new/v1/things/search", "N"),
    ],
)
def test_every_api_belongs_to_the_class_that_its_repetition_deserves(
    method: str, path: str, klass: str
) -> None:
    assert CATALOGUE.route(method, path).klass == klass


def test_a_class_is_keyed_exactly_where_the_documentation_gives_a_key() -> None:
    routes = {route.name: route for route in CATALOGUE}
    assert {name for name, route in routes.items() if route.klass is ApiClass.KEYED} == {
        api.name for api in TABLE if api.idempotency_key
    }
    for api in TABLE:
        key = routes[api.name].idempotency_key
        assert (f"{key.place}.{key.field}" if key else None) == api.idempotency_key


def test_a_post_is_repeated_freely_only_where_it_is_marked_as_a_read() -> None:
    free = {route.name for route in CATALOGUE if route.method == "POST" and route.klass in "RI"}
    assert free == {api.name for api in TABLE if api.method == "POST" and api.reads}


def test_an_api_without_a_figure_gets_the_cautious_limit() -> None:
    special = CATALOGUE.route("GET", "/open-apis/contact/v3/departments/od_1")
    unstated = CATALOGUE.route("GET", "/open-apis/acs/v1/devices")
    unknown = CATALOGUE.route("GET", "/open-apis/new/v1/things")
    assert special.windows == unstated.windows == unknown.windows == CAUTIOUS
    assert (special.known, unstated.known, unknown.known) == (True, True, False)


def test_every_route_has_a_limit() -> None:
    assert all(route.windows for route in CATALOGUE)
    assert len(list(CATALOGUE)) == len(TABLE)


@given(method=methods, path=st.lists(segments, max_size=8))
def test_the_names_of_unknown_paths_are_few(method: str, path: list[str]) -> None:
    route = CATALOGUE.route(method, "/".join(["/open-apis", *path]))
    if route.known:
        assert route.name in {f"{api.method} {api.template}" for api in TABLE}
        return
    known = {"/".join(api.template.split("/")[:depth]) for api in TABLE for depth in (2, 3, 4)}
    assert route.name == f"{method} {route.template}"
    assert route.template.removesuffix("/*") in known
    assert route.idempotency_key is None


@given(
    service=st.sampled_from(["im/v1/new", "im/v9/new", "im", "none/v1/new", "IM/v1/messages"]),
    ids=st.lists(segments, min_size=2, max_size=2),
)
def test_another_id_never_gives_an_unknown_api_another_bucket(service: str, ids: list[str]) -> None:
    names = {CATALOGUE.route("PUT", f"/open-apis/{service}/x/{id_}/y/z").name for id_ in ids}
    assert len(names) == 1


def test_unknown_paths_of_one_service_share_a_name_and_those_of_others_do_not() -> None:
    paths = ["im/v1/new/om_1", "im/v1/new/om_2", "im/v9/new", "nobody/v1/new", "im"]
    names = [CATALOGUE.route("POST", f"/open-apis/{path}").name for path in paths]
    assert names == [
        "POST /open-apis/im/v1/*",
        "POST /open-apis/im/v1/*",
        "POST /open-apis/im/*",
        "POST /open-apis/*",
        "POST /open-apis/im/*",
    ]


def test_a_site_limit_replaces_the_documented_one_whatever_its_parameters_are_called() -> None:
    mine = (Window(2, 1),)
    catalogue = Catalogue(TABLE, {"POST /open-apis/im/v1/messages/:id/reply": mine})
    route = catalogue.route("POST", "/open-apis/im/v1/messages/om_1/reply")
    before = CATALOGUE.route("POST", "/open-apis/im/v1/messages/om_1/reply")
    assert route.windows == mine
    assert route.name == before.name
    assert (route.klass, route.idempotency_key) == (before.klass, before.idempotency_key)
    assert catalogue.route("POST", "/open-apis/im/v1/messages").windows != mine
    assert catalogue.unlisted == ()


def test_a_site_limit_names_an_api_that_the_documentation_lacks() -> None:
    mine = (Window(2, 1),)
    catalogue = Catalogue(TABLE, {"POST /open-apis/new/v1/things/:id/open": mine})
    route = catalogue.route("POST", "/open-apis/new/v1/things/7/open")
    assert route.name == "POST /open-apis/new/v1/things/:id/open"
    assert (route.windows, route.known, route.klass) == (mine, True, ApiClass.NEITHER)
    assert catalogue.unlisted == (route.name,)
    assert not catalogue.route("POST", "/open-apis/new/v1/other").known


def test_limits_that_cannot_be_used_are_named_all_at_once() -> None:
    limits = {
        "HEAD /open-apis/im/v1/messages": CAUTIOUS,
        "/open-apis/im/v1/messages": CAUTIOUS,
        "POST https://open.feishu.cn/open-apis/im/v1/messages": CAUTIOUS,
        "GET /open-apis/im/v1/chats/oc_1": CAUTIOUS,
        "GET /open-apis/im/v1/messages/:a": CAUTIOUS,
        "GET /open-apis/im/v1/messages/:b": CAUTIOUS,
    }
    with pytest.raises(LimitsError) as caught:
        Catalogue(TABLE, limits)
    lines = str(caught.value).split("\n")
    form = "write a method and a path, such as POST /open-apis/im/v1/messages"
    assert lines == [
        f"limit of 'HEAD /open-apis/im/v1/messages': {form}",
        f"limit of '/open-apis/im/v1/messages': {form}",
        f"limit of 'POST https://open.feishu.cn/open-apis/im/v1/messages': {form}",
        "limit of 'GET /open-apis/im/v1/chats/oc_1': is one resource of an API;"
        " write GET /open-apis/im/v1/chats/:chat_id",
        "limit of 'GET /open-apis/im/v1/messages/:b': names GET"
        " /open-apis/im/v1/messages/:message_id for the second time",
    ]


@given(alias=aliases, call_id=call_ids)
def test_a_derived_key_has_the_form_that_every_api_with_a_key_accepts(
    alias: str, call_id: str
) -> None:
    key = derive_key(alias, call_id)
    parsed = UUID(key)
    assert str(parsed) == key
    assert (parsed.version, parsed.variant) == (4, RFC_4122)
    assert 32 <= len(key) <= 50
    assert re.fullmatch(r"[0-9a-f-]+", key)


@given(one=st.tuples(aliases, call_ids), other=st.tuples(aliases, call_ids))
def test_two_calls_have_the_same_derived_key_only_if_they_are_the_same_call(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (derive_key(*one) == derive_key(*other)) is (one == other)


def test_a_derived_key_never_changes_between_versions() -> None:
    assert derive_key("default", "order-4711") == "f2787819-ed16-4971-a1b2-3f287062062c"
    assert derive_key("a", "b-c") != derive_key("a-b", "c")


def keyed_route(place: str) -> Route:
    path = {"body": "/open-apis/im/v1/messages", "query": "/open-apis/im/v1/chats"}[place]
    return CATALOGUE.route("POST", path)


@pytest.mark.parametrize("given_key", [None, "", [], ...])
def test_the_key_is_set_where_the_producer_set_none(given_key: Any) -> None:
    fields: Mapping[str, Any] = {"a": 1} if given_key is ... else {"a": 1, "uuid": given_key}
    in_body = with_idempotency_key(keyed_route("body"), {"q": "1"}, dict(fields), "key")
    in_query = with_idempotency_key(keyed_route("query"), dict(fields), {"b": 1}, "key")
    assert (in_body.query, in_body.body) == ({"q": "1"}, {"a": 1, "uuid": "key"})
    assert (in_query.query, in_query.body) == ({"a": 1, "uuid": "key"}, {"b": 1})
    assert in_body.placed
    assert in_query.placed


@pytest.mark.parametrize("own", ["mine", " ", 0, False, ["mine"]])
def test_the_producers_key_is_kept(own: Any) -> None:
    in_body = with_idempotency_key(keyed_route("body"), {}, {"uuid": own}, "key")
    in_query = with_idempotency_key(keyed_route("query"), {"uuid": own}, None, "key")
    assert in_body.body == in_query.query == {"uuid": own}
    assert in_body.placed
    assert in_query.placed


@pytest.mark.parametrize("body", [None, [], [{"uuid": "x"}], "text", 7, True])
def test_a_body_that_is_no_object_has_no_place_for_a_key(body: Any) -> None:
    result = with_idempotency_key(keyed_route("body"), {}, body, "key")
    assert (dict(result.query), result.body, result.placed) == ({}, body, False)


def test_a_key_in_the_query_needs_no_body() -> None:
    result = with_idempotency_key(keyed_route("query"), {}, None, "key")
    assert (result.query, result.body, result.placed) == ({"uuid": "key"}, None, True)


def test_an_api_without_a_key_is_left_alone() -> None:
    route = CATALOGUE.route("POST", "/open-apis/im/v1/images")
    result = with_idempotency_key(route, {"a": "1"}, {"b": 2}, "key")
    assert (result.query, result.body, result.placed) == ({"a": "1"}, {"b": 2}, False)


def test_setting_a_key_changes_nothing_that_the_producer_sent() -> None:
    query, body = {"a": "1"}, {"b": {"c": 1}}
    with_idempotency_key(keyed_route("body"), query, body, "key")
    with_idempotency_key(keyed_route("query"), query, body, "key")
    assert (query, body) == ({"a": "1"}, {"b": {"c": 1}})


@pytest.mark.parametrize(
    ("method", "path", "with_key", "without"),
    [
        ("POST", "/open-apis/im/v1/messages", "K", "N"),
        ("PUT", "/open-apis/cardkit/v1/cards/c", "K", "I"),
        ("DELETE", "/open-apis/cardkit/v1/cards/c/elements/e", "K", "I"),
        ("GET", "/open-apis/im/v1/messages", "R", "R"),
        ("POST", "/open-apis/task/v2/tasks/search", "R", "R"),
        ("POST", "/open-apis/im/v1/images", "N", "N"),
        ("PATCH", "/open-apis/im/v1/messages/om_1", "I", "I"),
    ],
)
def test_a_keyed_call_without_its_key_falls_back_to_the_class_of_its_method(
    method: str, path: str, with_key: str, without: str
) -> None:
    route = CATALOGUE.route(method, path)
    assert class_of(route, placed=True) == with_key
    assert class_of(route, placed=False) == without
