"""A body becomes a call or poison that says what is wrong with it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.body import parse_call
from consumers.codec import Poison as Refusal
from tests.support.poison import bodies, fields, headers
from tests.support.poison.bodies import GOOD, MIB, nested
from tests.support.poison.kinds import CALL, Poison, call_with, parametrized

KINDS = [*bodies.KINDS, *fields.KINDS, *headers.KINDS]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abc"\\'), inner),
    max_leaves=20,
)


@parametrized(kind for kind in KINDS if kind.name != "as tenant of a self-built app")
def test_poison_is_told_from_a_call(poison: Poison) -> None:
    body = poison.body if isinstance(poison.body, bytes) else json.dumps(poison.body).encode()
    with pytest.raises(Refusal) as refused:
        parse_call(body)
    assert (refused.value.type, refused.value.reason) == (poison.type, poison.reason)
    for word in poison.says:
        assert word in refused.value.message


@given(JSON)
def test_any_json_is_taken_as_it_is(document: object) -> None:
    assert parse_call(json.dumps(call_with(body=document)).encode()).body == document


@given(st.integers())
def test_exactly_the_integers_of_64_bits_are_taken(number: int) -> None:
    body = json.dumps(call_with(query={"n": number, "s": str(number)})).encode()
    if -(2**63) <= number < 2**64:
        assert parse_call(body).query == {"n": number, "s": str(number)}
    else:
        with pytest.raises(Refusal, match="64 bits"):
            parse_call(body)


@pytest.mark.parametrize("number", [2**63 - 1, 2**64 - 1, -(2**63), 10**18, -(10**18), 10**19 - 1])
def test_integers_at_the_edge_are_taken_digit_by_digit(number: int) -> None:
    assert parse_call(json.dumps(call_with(body=[number])).encode()).body == [number]


@pytest.mark.parametrize(
    "value",
    ["1e25", "1.5e25", "12345678901234567890.0", "0.12345678901234567890", "1E+30", "-1e30"],
)
def test_a_number_that_is_no_integer_may_be_long(value: str) -> None:
    call = parse_call(GOOD[:-1] + f', "body": {value}}}'.encode())
    assert call.body == float(value)


def test_digits_in_strings_and_names_are_no_integers() -> None:
    document = {"9" * 30: ["9" * 30, '"' + "9" * 30, "\\" + "9" * 30, '\\"' + "9" * 30]}
    assert parse_call(json.dumps(call_with(body=document)).encode()).body == document


def test_64_levels_are_taken() -> None:
    document = nested(63)
    assert parse_call(json.dumps(call_with(body=document)).encode()).body == document


def test_64_levels_beside_others_are_taken() -> None:
    document = [[], [], nested(62)]
    assert parse_call(json.dumps(call_with(body=document)).encode()).body == document


def test_many_brackets_are_no_depth() -> None:
    document = [[] for _ in range(200)] + ["[" * 200]
    assert parse_call(json.dumps(call_with(body=document)).encode()).body == document


def test_of_duplicate_keys_the_last_counts() -> None:
    assert parse_call(b'{"method": "x", "method": "GET", "path": "/open-apis/x"}').method == "GET"


def test_a_body_may_have_16_mib() -> None:
    call = json.dumps(call_with(body="<>")).encode()
    call = call.replace(b"<>", b"x" * (16 * MIB - len(call) + 2))
    assert len(call) == 16 * MIB
    assert len(parse_call(call).body) > 15 * MIB


@pytest.mark.parametrize(
    "piece", [b"1,", b'"a",', b"1.5,", b"1234567890123456789,", b'"\\"",', b"[],"]
)
def test_the_search_for_long_integers_takes_time_in_proportion(piece: bytes) -> None:
    def seconds(size: int) -> float:
        body = GOOD[:-1] + b', "body": [' + piece * (size // len(piece)) + b"9" * 20 + b"]}"
        began = time.process_time()
        with pytest.raises(Refusal, match="64 bits"):
            parse_call(body)
        return time.process_time() - began

    small, large = min(seconds(50_000) for _ in range(3)), seconds(1_000_000)
    assert large < max(0.01, small) * 100


def test_the_good_call_is_one() -> None:
    assert parse_call(json.dumps(CALL).encode()).path == CALL["path"]
