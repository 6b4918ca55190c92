from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import Catalogue, Route, class_of, derive_key, with_idempotency_key
from schemas.apis import ApiTable
from schemas.names import ALIAS, CALL_ID

CATALOGUE = Catalogue(ApiTable.load())

aliases = st.from_regex(ALIAS, fullmatch=True)
call_ids = st.from_regex(CALL_ID, fullmatch=True)


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
