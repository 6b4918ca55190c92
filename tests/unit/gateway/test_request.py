"""The request that a call becomes: where it goes and what it carries."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.request import Request, build_request
from schemas.call import Call
from tests.support.builders import make_call

DOMAINS = [
    "https://open.feishu.cn",
    "https://open.larksuite.com",
    "https://gateway.example:8443",
    "http://127.0.0.1:8911",
    "http://[::1]:8911",
    "http://sandbox",
    "https://Open.Feishu.CN",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PARAMETERS = TEXT.filter(lambda value: value not in ("", ".", ".."))
ODD = [
    *("//evil.example", "@evil.example", ":443@evil.example", ".evil.example", "\\..\\.."),
    *("?a=1", "#a", ";a", "a/../..", "https://evil.example", " ", "\r\nHost: evil", "\t", "\0"),
    *("%2e%2e", "%252e", "\uff05"),
]


def build(domain: str = DOMAINS[0], **fields: Any) -> Request:
    call = make_call(**fields)
    return build_request(domain, call, call.query, call.body)


@given(st.sampled_from(DOMAINS), PARAMETERS | st.sampled_from(ODD), PARAMETERS, TEXT, TEXT)
def test_no_parameter_moves_a_request_from_its_host_or_its_path(
    domain: str, one: str, two: str, key: str, value: str
) -> None:
    call = make_call(
        path="/open-apis/:one/x/:two", path_params={"one": one, "two": two}, query={key: value}
    )
    url = urlsplit(str(build_request(domain, call, call.query, None).url))
    assert (url.scheme, url.netloc) == urlsplit(domain.lower())[:2]
    assert url.fragment == ""
    segments = url.path.split("/")
    assert segments[:2] + segments[3:4] == ["", "open-apis", "x"]
    assert [unquote(segments[2]), unquote(segments[4])] == [one, two]
    assert len(segments) == 5
    assert parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)) == [
        (key, value)
    ]


@given(st.from_regex(r"/open-apis(/[A-Za-z0-9_.:@=~-]{1,9}){1,6}", fullmatch=True))
def test_a_path_is_sent_as_it_was_written(path: str) -> None:
    try:
        call = Call.model_validate({"method": "GET", "path": path})
    except ValueError:
        return
    url = str(build_request(DOMAINS[0], call, {}, None).url)
    assert url == DOMAINS[0] + path


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ({}, ""),
        ({"a": "x y&z=+%"}, "a=x%20y%26z%3D%2B%25"),
        ({"a": [1, 2.5, True, False, "x"]}, "a=1&a=2.5&a=true&a=false&a=x"),
        ({"a": [], "b": 1}, "b=1"),
        ({"a": 2**64 - 1, "b": -(2**63)}, "a=18446744073709551615&b=-9223372036854775808"),
        ({"a": 1.0, "b": -0.5}, "a=1.0&b=-0.5"),
        ({"~-._": "~-._"}, "~-._=~-._"),
        ({"用": "户"}, "%E7%94%A8=%E6%88%B7"),
        ({"": ""}, "="),
    ],
)
def test_a_query_is_written_as_json_writes_its_values(query: Any, written: str) -> None:
    assert build(query=query).url.raw_query_string == written


@given(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT | st.lists(TEXT))
def test_a_body_is_sent_as_json_and_null_is_none(body: Any) -> None:
    request = build(method="POST", body=body)
    if body is None:
        assert request.payload() is None
        assert "Content-Type" not in request.headers
    else:
        assert orjson.loads(request.payload() or b"") == body
        assert request.headers["Content-Type"] == "application/json; charset=utf-8"


def test_headers_of_the_producer_are_sent() -> None:
    assert build(headers={"accept-language": "zh"}).headers == {"Accept-Language": "zh"}


def test_a_multipart_body_is_built_anew_for_each_attempt() -> None:
    file = {"field": "f", "filename": "a", "content_type": "a/b", "content_base64": "YQ=="}
    request = build(method="POST", form={"a": "b"}, files=[file])
    first, second = request.payload(), request.payload()
    assert first is not second
    assert request.multipart
    assert "Content-Type" not in request.headers
