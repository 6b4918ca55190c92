from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.apis import Api, ApiTable, Window, is_parameter, parse_windows

TABLE = ApiTable.load()
APIS = tuple(TABLE)

sample_values = st.text(
    alphabet=st.characters(
        codec="ascii", categories=["Lu", "Ll", "Nd"], include_characters="-._~:@="
    ),
    min_size=1,
    max_size=20,
).filter(lambda value: value[0] != ":")


def filled(template: str, values: Iterable[str]) -> str:
    supply = iter(values)
    segments = template.split("/")
    return "/".join(next(supply) if is_parameter(segment) else segment for segment in segments)


def table(*templates: str) -> ApiTable:
    return ApiTable(Api("GET", template) for template in templates)


def test_the_table_holds_every_documented_api_once() -> None:
    assert len(TABLE) == len(APIS) == 1742
    assert len({api.name for api in APIS}) == 1742


def test_every_template_matches_itself() -> None:
    assert [api for api in APIS if TABLE.match(api.method, api.template) is not api] == []


def test_every_template_matches_itself_whatever_its_parameters_are_called() -> None:
    renamed = [(api, filled(api.template, (f":p{n}" for n in range(20)))) for api in APIS]
    assert [api for api, path in renamed if TABLE.match(api.method, path) is not api] == []


def test_every_template_matches_itself_filled_with_sample_values() -> None:
    samples = [(api, filled(api.template, (f"om_{n}a.b-c~d" for n in range(20)))) for api in APIS]
    assert [api for api, path in samples if TABLE.match(api.method, path) is not api] == []


@given(api=st.sampled_from(APIS), values=st.lists(sample_values, min_size=8, max_size=8))
def test_any_values_lead_to_the_template_or_to_one_with_more_literals(
    api: Api, values: list[str]
) -> None:
    path = filled(api.template, values)
    found = TABLE.match(api.method, path)
    assert found is not None
    segments = zip(found.template.split("/"), path.split("/"), strict=True)
    assert all(is_parameter(expected) or expected == given for expected, given in segments)
    if found is not api:
        pairs = zip(found.template.split("/"), api.template.split("/"), strict=True)
        first = next((f, a) for f, a in pairs if is_parameter(f) is not is_parameter(a))
        assert not is_parameter(first[0])


def test_a_literal_wins_over_a_parameter_in_any_order_of_the_table() -> None:
    for order in permutations(["/a/:id", "/a/search", "/a/:id/x", "/a/search/y"]):
        apis = table(*order)
        paths = ["/a/1", "/a/search", "/a/search/x", "/a/search/y"]
        found = [apis.match("GET", path) for path in paths]
        expected = ["/a/:id", "/a/search", "/a/:id/x", "/a/search/y"]
        assert [api.template for api in found if api] == expected


def test_a_path_that_two_templates_share_goes_to_the_earliest_literal() -> None:
    shared = "/open-apis/doc/v2/meta/content"
    assert {api.template for api in APIS if TABLE.match("GET", shared) is api} == {
        "/open-apis/doc/v2/meta/:docToken"
    }
    assert TABLE.match("GET", "/open-apis/doc/v2/doccn1/content") is TABLE.match(
        "GET", "/open-apis/doc/v2/:docToken/content"
    )


def test_a_table_with_two_names_for_the_same_paths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"GET /a/:key and GET /a/:id match the same paths"):
        table("/a/:id", "/a/:key")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/open-apis/im/v1/messages/om_1/reply"),
        ("HEAD", "/open-apis/im/v1/messages"),
        ("POST", "/open-apis/im/v1/messages/"),
        ("POST", "/open-apis/im/v1/messages//reply"),
        ("POST", "/open-apis/im/v1"),
        ("POST", "open-apis/im/v1/messages"),
        ("POST", "x/open-apis/im/v1/messages"),
        ("POST", "/open-apis/IM/v1/messages"),
        ("POST", "/open-apis/im/v1/:messages"),
        ("POST", ""),
        ("POST", "/"),
    ],
)
def test_what_is_not_documented_is_not_found(method: str, path: str) -> None:
    assert TABLE.match(method, path) is None


def test_a_colon_inside_a_segment_is_an_ordinary_character() -> None:
    api = TABLE.match("GET", "/open-apis/im/v1/chats/a:b")
    assert api is not None
    assert api.template == "/open-apis/im/v1/chats/:chat_id"
    assert not is_parameter(":")
    assert table("/a/:").match("GET", "/a/b") is None


def test_the_facts_of_an_api_are_read() -> None:
    assert TABLE.match("POST", "/open-apis/im/v1/messages") == Api(
        method="POST",
        template="/open-apis/im/v1/messages",
        windows=(Window(1000, 60), Window(50, 1)),
        tokens=frozenset({"tenant", "user"}),
        idempotency_key="body.uuid",
        app_types=frozenset({"custom", "isv"}),
    )


def test_the_columns_are_told_apart() -> None:
    department = TABLE.match("GET", "/open-apis/contact/v3/departments/od_1")
    image = TABLE.match("POST", "/open-apis/im/v1/images")
    old = TABLE.match("GET", "/open-apis/doc/v2/meta/doccn1")
    search = TABLE.match("POST", "/open-apis/bitable/v1/apps/a/tables/t/records/search")
    assert department is not None
    assert department.special
    assert department.windows == ()
    assert image is not None
    assert image.multipart
    assert old is not None
    assert old.historic
    assert search is not None
    assert search.reads


def test_every_get_reads_and_nothing_but_get_and_post_does() -> None:
    assert all(api.reads for api in APIS if api.method == "GET")
    assert {api.method for api in APIS if api.reads} == {"GET", "POST"}


def test_every_idempotency_key_names_a_place_and_a_field() -> None:
    keys = [api.idempotency_key for api in APIS if api.idempotency_key]
    assert len(keys) == 94
    assert {key.split(".")[0] for key in keys} == {"body", "query"}
    assert all(key.count(".") == 1 for key in keys)


@given(
    st.lists(
        st.builds(Window, st.integers(1, 999_999_999), st.integers(1, 999_999_999)),
        min_size=1,
        unique_by=lambda window: window.seconds,
    )
)
def test_windows_are_read_as_they_are_written(windows: list[Window]) -> None:
    assert parse_windows(";".join(str(window) for window in windows)) == tuple(windows)


@pytest.mark.parametrize(
    "text",
    ["", ";", "5", "5/", "/1", "0/1", "5/0", "-5/1", "5/1;", "5/1,2/1", "special", "\u0665/1"],
)
def test_text_that_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no limit, write requests/seconds such as 50/1"):
        parse_windows(text)


def test_two_limits_for_the_same_seconds_are_refused() -> None:
    with pytest.raises(ValueError, match="two limits for the same number of seconds"):
        parse_windows("5/1;6/1")
