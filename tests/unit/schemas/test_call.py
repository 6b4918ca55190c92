"""What a call's fields may be, and the path that they make."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.call import ALLOWED_HEADERS, Call, FilePart, TenantKey, UserKey
from tests.support.poison import fields, headers
from tests.support.poison.kinds import Poison, parametrized

PARAMETERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda value: value not in (".", "..")
)


def call(**changes: object) -> Call:
    return Call.model_validate({"method": "GET", "path": "/open-apis/a/b", **changes})


@parametrized(
    kind
    for kind in (*fields.KINDS, *headers.HEADERS)
    if kind.name != "as tenant of a self-built app"
)
def test_a_field_that_breaks_its_rule_is_refused(poison: Poison) -> None:
    with pytest.raises(ValidationError):
        Call.model_validate(poison.body)


def test_a_call_needs_no_more_than_its_method_and_its_path() -> None:
    least = call()
    assert least.query == least.headers == least.path_params == {}
    assert (least.body, least.as_, least.retry) == (None, "tenant", "safe")
    assert not least.multipart


@pytest.mark.parametrize(
    "path",
    [
        "/open-apis/x",
        "/open-apis/im/v1/messages",
        "/open-apis/a:b/c:",
        "/open-apis/.../..a/.b",
        "/open-apis/-/_/~/=/@",
        "/open-apis/" + "x" * 501,
    ],
)
def test_a_path_is_kept_as_it_is(path: str) -> None:
    assert call(path=path).filled_path() == path


@given(PARAMETERS, PARAMETERS)
def test_parameters_stay_in_their_segments(one: str, two: str) -> None:
    path = call(path="/open-apis/:one/x/:two", path_params={"one": one, "two": two}).filled_path()
    prefix, filled, middle, last = path[1:].split("/")
    assert (prefix, middle) == ("open-apis", "x")
    assert (unquote(filled), unquote(last)) == (one, two)
    assert not {filled, last} & {".", ".."}
    assert set(path) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%/")


def test_a_colon_inside_a_segment_is_no_parameter() -> None:
    assert call(path="/open-apis/a:b").filled_path() == "/open-apis/a:b"


def test_a_parameter_may_have_256_characters_and_be_used_twice() -> None:
    filled = call(path="/open-apis/:a/:a", path_params={"a": "ä" * 256}).filled_path()
    assert filled == "/open-apis/" + "%C3%A4" * 256 + "/" + "%C3%A4" * 256


@pytest.mark.parametrize("name", ALLOWED_HEADERS)
def test_an_allowed_header_is_known_in_any_case(name: str) -> None:
    for spelling in (name, name.lower(), name.upper()):
        assert call(headers={spelling: " ~" * 512}).headers == {name: " ~" * 512}


@pytest.mark.parametrize(
    "values", [{"a": 1, "b": 1.5, "c": True, "d": "x"}, {"a": []}, {"": ["x"]}]
)
def test_a_query_may_hold_values_and_lists_of_them(values: dict[str, object]) -> None:
    assert call(query=values).query == values


@pytest.mark.parametrize(
    ("identity", "meant"),
    [
        ("tenant", "tenant"),
        ("app", "app"),
        ("none", "none"),
        ({"tenant": "t"}, TenantKey(tenant="t")),
        ({"user": "u"}, UserKey(user="u")),
    ],
)
def test_an_identity_is_one_of_five(identity: object, meant: object) -> None:
    assert call(**{"as": identity}).as_ == meant


def test_null_is_no_body_beside_a_form() -> None:
    assert call(method="POST", body=None, form={}).multipart


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("part", [{"form": {"a": "b"}}, {"files": []}])
def test_every_method_but_get_may_have_a_form(method: str, part: dict[str, object]) -> None:
    assert call(method=method, **part).multipart


def test_a_file_is_its_bytes() -> None:
    part = FilePart(
        field="f", filename="名.png", content_type="image/png; a=b", content_base64="AP8="
    )
    assert part.content() == b"\x00\xff"


@parametrized(headers.CREDENTIALS)
def test_credential_endpoints_are_known_in_every_spelling(poison: Poison) -> None:
    assert Call.model_validate(poison.body).asks_for_credentials()


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/open-apis/authen/v1/user_info", {}),
        ("GET", "/open-apis/AUTHEN/v1/User_Info", {}),
        ("GET", "/open-apis/authen/v1/:x", {"x": "user_info"}),
        ("GET", "/open-apis/auth-service/x", {}),
        ("GET", "/open-apis/authentication", {}),
        ("GET", "/open-apis/authenx/v1", {}),
        ("GET", "/open-apis/im/auth", {}),
        ("GET", "/open-apis/:x/v3", {"x": "author"}),
    ],
)
def test_other_paths_are_no_credential_endpoints(
    method: str, path: str, params: dict[str, str]
) -> None:
    assert not call(method=method, path=path, path_params=params).asks_for_credentials()


@given(st.sampled_from(["auth", "authen"]), st.data())
def test_no_spelling_of_a_credential_endpoint_passes(name: str, data: st.DataObject) -> None:
    spelled = "".join(data.draw(st.sampled_from([char, char.upper()])) for char in name)
    rest = data.draw(st.sampled_from(["", "/v3", "/v1/x"]))
    filled = call(method="POST", path="/open-apis/:a", path_params={"a": spelled + rest})
    plain = call(method="POST", path=f"/open-apis/{spelled}{rest}")
    assert filled.asks_for_credentials()
    assert plain.asks_for_credentials()
