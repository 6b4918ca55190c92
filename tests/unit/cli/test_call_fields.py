"""Words of the command line as fields of a call."""

from __future__ import annotations

import json

import pytest

from cli.call.fields import identity_of, json_of, mapping_of, query_of, written
from cli.exits import USAGE, CommandFailed


def test_a_query_key_that_comes_again_becomes_a_list() -> None:
    words = ["a=1", "ids=x", "ids=y", "ids=z=1", "empty="]

    assert query_of(words) == {"a": "1", "ids": ["x", "y", "z=1"], "empty": ""}


def test_a_header_may_be_written_as_in_http() -> None:
    words = ["Accept-Language: zh-CN", "Range=bytes=0-9"]

    headers = mapping_of("--header", words, separators=":=")

    assert headers == {"Accept-Language": "zh-CN", "Range": "bytes=0-9"}


@pytest.mark.parametrize(
    ("word", "identity"),
    [
        ("tenant", "tenant"),
        ("app", "app"),
        ("none", "none"),
        ("user:ou_1", {"user": "ou_1"}),
        ("tenant:t:1", {"tenant": "t:1"}),
    ],
)
def test_whose_token_is_one_word(word: str, identity: object) -> None:
    assert identity_of(word) == identity


@pytest.mark.parametrize("word", ["", "user", "user:", "nobody", "app:x", "none:"])
def test_any_other_word_is_refused_by_the_name_of_the_option(word: str) -> None:
    with pytest.raises(CommandFailed, match="--as: must be tenant, app, none") as refused:
        identity_of(word)

    assert refused.value.code == USAGE


@pytest.mark.parametrize("word", ["page_size", "=20", ""])
def test_a_word_without_its_key_is_refused(word: str) -> None:
    with pytest.raises(CommandFailed, match="--query: write key=value"):
        query_of([word])


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(CommandFailed, match="--param: 'id' is given twice"):
        mapping_of("--param", ["id=1", "id=2"])


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": Infinity}', "{'a': 1}", "[" * 100_000])
def test_a_body_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed, match=r"--body: card\.json is not JSON") as refused:
        json_of(text, "card.json")

    assert refused.value.code == USAGE


def test_numbers_of_a_body_keep_their_digits() -> None:
    body = json_of('{"id": 9007199254740993, "name": "\\u4f60"}', "-")

    assert written({"body": body}) == '{"body":{"id":9007199254740993,"name":"你"}}'.encode()


def test_what_was_not_given_is_left_out_and_what_is_false_is_not() -> None:
    fields = {"method": "GET", "body": False, "query": {}, "files": [], "form": None}

    assert json.loads(written(fields)) == {"method": "GET", "body": False}


@pytest.mark.parametrize("body", [float("inf"), "\udcff"])
def test_what_json_cannot_carry_is_refused(body: object) -> None:
    with pytest.raises(CommandFailed, match="cannot be written as JSON"):
        written({"body": body})
