"""No parameter, query or template leads a request off Feishu's host or to another API."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.request import build_request
from schemas.apis import ApiTable, is_parameter
from schemas.call import Call
from tests.support.examples import tried

DOMAINS = st.sampled_from(
    ["https://open.feishu.cn", "https://open.larksuite.com", "http://127.0.0.1:8080", "http://Sim"]
)
TEMPLATES = st.sampled_from(sorted({api.template for api in ApiTable.load()}))
HOSTILE = st.sampled_from(
    [
        *(
            "/",
            "//evil.example",
            "../",
            "..\\",
            "%2e%2e",
            "%2f",
            "?a=b",
            "#",
            "@evil.example",
            ":80",
        ),
        *(
            "\r\nHost: evil",
            "\0",
            " ",
            "http://evil.example/",
            "\\",
            ";",
            ".",
            "..",
            "\u2215",
            "字",
        ),
    ]
)
VALUE = st.lists(HOSTILE | st.text(max_size=8), min_size=1, max_size=4).map("".join)


PATH = st.lists(
    st.text(st.sampled_from("Aa0_.:@=~-"), min_size=1, max_size=6), min_size=1, max_size=4
).map("/".join)


def call_of(**fields: Any) -> Call:
    """The call, or no example where the rules refuse it."""
    try:
        return Call.model_validate({"method": "GET", **fields})
    except ValidationError:
        assume(condition=False)
        raise


@tried
@given(DOMAINS, TEMPLATES, st.data())
def test_a_filled_in_path_stays_on_its_host_and_in_its_template(
    domain: str, template: str, data: st.DataObject
) -> None:
    segments = template.split("/")
    names = [segment[1:] for segment in segments if is_parameter(segment)]
    params = {name: data.draw(VALUE, name) for name in names}
    call = call_of(path=template, path_params=params)

    url = build_request(domain, call, {}, None).url

    host = domain.partition("://")[2].partition(":")[0].lower()
    assert (url.scheme, url.host) == (domain.partition("://")[0], host)
    assert url.user is None
    assert url.raw_path_qs == url.raw_path
    sent = url.raw_path.split("/")
    assert len(sent) == len(segments)
    for segment, written in zip(segments, sent, strict=True):
        if is_parameter(segment):
            assert unquote(written) == params[segment[1:]]
            assert written not in ("", ".", "..")
            assert written.isascii()
            assert not set(written) & set("/?#;@:\\ \r\n\0")
        else:
            assert written == segment


@tried
@given(DOMAINS, PATH | VALUE)
def test_a_path_is_sent_as_it_is_or_refused(domain: str, path: str) -> None:
    call = call_of(path=f"/open-apis/{path}")

    url = build_request(domain, call, {}, None).url

    assert url.raw_path_qs == f"/open-apis/{path}"


@tried
@given(
    st.dictionaries(VALUE, VALUE | st.integers(-(2**63), 2**64 - 1) | st.lists(VALUE, max_size=3)),
    DOMAINS,
)
def test_a_query_says_what_was_given_and_nothing_more(query: dict[str, Any], domain: str) -> None:
    call = call_of(path="/open-apis/x", query=query)

    target = build_request(domain, call, call.query, None).url.raw_path_qs

    path, _, written = target.partition("?")
    assert path == "/open-apis/x"
    assert written.isascii()
    assert "#" not in written
    expected = [
        (name, str(one))
        for name, value in query.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    assert parse_qsl(written, keep_blank_values=True) == expected
