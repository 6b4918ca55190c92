"""Messages that RabbitMQ delivers and pamqp by itself cannot read, or would write otherwise."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from pamqp import commands as spec
from pamqp import decode, encode

from consumers.wire import DEEPEST, carry_any_message, table


@pytest.fixture(autouse=True)
def any_message() -> Iterator[None]:
    before = dict(decode.METHODS), dict(encode.METHODS)
    carry_any_message()
    yield
    decode.METHODS.update(before[0])
    encode.METHODS.update(before[1])


def read(flags: int, data: bytes) -> spec.Basic.Properties:
    properties = spec.Basic.Properties()
    properties.unmarshal(flags, data)
    return properties


def header(tag: bytes, data: bytes, name: bytes = b"h") -> bytes:
    entry = struct.pack(">B", len(name)) + name + tag + data
    return struct.pack(">I", len(entry)) + entry


HEADERS, CORRELATION_ID, TIMESTAMP = 0x2000, 0x400, 0x40


@pytest.mark.parametrize(
    ("flags", "data"),
    [
        pytest.param(TIMESTAMP, struct.pack(">Q", 1_700_000_000_000_000), id="microseconds"),
        pytest.param(TIMESTAMP, struct.pack(">Q", 1_700_000_000_000), id="milliseconds"),
        pytest.param(TIMESTAMP, b"\xff" * 8, id="largest timestamp"),
        pytest.param(CORRELATION_ID, b"\x02\xff\xfe", id="text that is no UTF-8"),
        pytest.param(HEADERS, header(b"t", b"\1", b"\xff"), id="header name that is no UTF-8"),
        pytest.param(HEADERS, header(b"t", b"\1", b"n" * 255), id="header name of 255 bytes"),
        pytest.param(HEADERS, header(b"S", b"\0\0\0\2\xff\xfe"), id="header text that is no UTF-8"),
        pytest.param(HEADERS, header(b"T", b"\xff" * 8), id="header timestamp out of range"),
        pytest.param(HEADERS, header(b"D", b"\xff" + b"\x80" + b"\0" * 3), id="odd decimal"),
        pytest.param(HEADERS, header(b"d", struct.pack(">d", 1e300)), id="double"),
        pytest.param(HEADERS, header(b"d", struct.pack(">d", 0.1)), id="double precision"),
        pytest.param(HEADERS, header(b"x", b"\0\0\0\2\xff\0"), id="byte array"),
        pytest.param(HEADERS, header(b"V", b""), id="void"),
        pytest.param(HEADERS, header(b"l", b"\x80" + b"\0" * 7), id="smallest integer"),
        pytest.param(HEADERS, header(b"A", b"\0\0\0\3t\1V"), id="array"),
        pytest.param(HEADERS, header(b"F", header(b"T", b"\xff" * 8)), id="table in a table"),
    ],
)
def test_what_was_read_is_written_as_it_came(flags: int, data: bytes) -> None:
    assert read(flags, data).marshal() == struct.pack(">H", flags) + data


def test_text_that_is_no_utf_8_does_not_pass_for_other_text() -> None:
    assert read(CORRELATION_ID, b"\x01\xff").correlation_id == "\udcff"
    assert read(HEADERS, header(b"S", b"\0\0\0\1\xff")).headers == {"h": b"\xff"}


def test_a_header_timestamp_is_no_number() -> None:
    (value,) = (read(HEADERS, header(b"T", struct.pack(">Q", 17))).headers or {}).values()
    assert not isinstance(value, int)
    assert str(value) == "17"


def test_a_decimal_can_be_shown() -> None:
    (value,) = (read(HEADERS, header(b"D", struct.pack(">Bi", 2, -314))).headers or {}).values()
    assert str(value) == "-314e-2"


@pytest.mark.parametrize("tag", [b"F", b"A"])
def test_headers_are_read_to_a_depth_that_every_part_bears(tag: bytes) -> None:
    data = b""
    for _ in range(5_000):
        inner = data if tag == b"A" else (b"\x01h" + data if data else b"")
        data = tag + struct.pack(">I", len(inner)) + inner
    value: Any = read(HEADERS, header(data[:1], data[1:])).headers
    depth = 0
    while value:
        value = value[0] if isinstance(value, list) else value["h"]
        depth += 1
    assert depth == DEEPEST


def test_many_headers_are_read_without_copying_all_for_each() -> None:
    fields = {f"header-{number}": number for number in range(5_000)}
    assert read(HEADERS, table(fields)).headers == fields


@pytest.mark.parametrize("data", [header(b"?", b""), header(b"S", b"\0\0\0\x09abc")])
def test_a_table_that_is_none_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        read(HEADERS, data)


def test_text_that_is_no_utf_8_may_go_into_a_header() -> None:
    assert table({"key": "a\udcff"}) == header(b"S", b"\0\0\0\2a\xff", b"key")


def test_a_table_without_entries_is_written() -> None:
    assert table(None) == table({}) == b"\0\0\0\0"
