"""Properties and headers as RabbitMQ hands them on, which is more than pamqp can read or write.

RabbitMQ checks neither the UTF-8 of a name nor the range of a timestamp. pamqp raises on either,
and the connection on which such a message is delivered dies, again after each reconnect: one
message would stop every queue. What is read here is written again as it came.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from pamqp import decode, encode

DEEPEST = 64
"""Levels of a header's value that are read; what lies deeper is taken for nothing."""

_SIZED = {b"S": 4, b"x": 4, b"A": 4, b"F": 4}
_FIXED = {
    **dict.fromkeys((b"t", b"b", b"B"), 1),
    **dict.fromkeys((b"s", b"u"), 2),
    **dict.fromkeys((b"I", b"i", b"f"), 4),
    **dict.fromkeys((b"l", b"L", b"d", b"T"), 8),
    **dict.fromkeys((b"V", b"\0"), 0),
    b"D": 5,
}
"""Bytes of a value that follow its tag."""


class Opaque:
    """A timestamp or a decimal: nobody here reads it, so that it is kept as it came."""

    __slots__ = ("data", "tag")

    def __init__(self, tag: bytes, data: bytes) -> None:
        self.tag = tag
        self.data = data

    def __str__(self) -> str:
        if self.tag == b"T":
            return str(int.from_bytes(self.data, "big"))
        scale, digits = struct.unpack(">Bi", self.data)
        return f"{digits}e-{scale}"

    def __repr__(self) -> str:
        return f"Opaque({self.tag!r}, {self.data!r})"


def carry_any_message() -> None:
    """Teach pamqp, for this process, to read and write whatever RabbitMQ delivers."""
    decode.METHODS |= {"shortstr": _read_short, "table": _read_headers, "timestamp": _read_time}
    encode.METHODS |= {"shortstr": _short, "table": table, "timestamp": _write_time}


def table(fields: Mapping[str, Any] | None) -> bytes:
    """Encode a header table; raises TypeError for a value that no message can bring."""
    return _long(b"".join(_short(name) + _value(item) for name, item in (fields or {}).items()))


def _read_short(data: bytes) -> tuple[int, str]:
    end = data[0] + 1
    return end, data[1:end].decode("utf-8", "surrogateescape")


def _read_time(data: bytes) -> tuple[int, Any]:
    return 8, Opaque(b"T", data[:8])


def _read_headers(data: bytes) -> tuple[int, Any]:
    end = 4 + int.from_bytes(data[:4], "big")
    return end, _read_table(data[4:end], 1)


def _read_table(data: bytes, level: int) -> dict[str, Any]:
    fields, place = {}, 0
    while place < len(data):
        end = place + 1 + data[place]
        name = data[place + 1 : end].decode("utf-8", "surrogateescape")
        place, fields[name] = _read_value(data, end, level)
    return fields


def _read_array(data: bytes, level: int) -> list[Any]:
    items, place = [], 0
    while place < len(data):
        place, item = _read_value(data, place, level)
        items.append(item)
    return items


def _read_value(data: bytes, place: int, level: int) -> tuple[int, Any]:
    """The value whose tag stands at *place*, and where the next one begins."""
    tag, place = data[place : place + 1], place + 1
    if tag in _SIZED:
        start = place + 4
        end = start + int.from_bytes(data[place:start], "big")
    else:
        start, end = place, place + _FIXED.get(tag, len(data))
    if end > len(data):
        raise ValueError("a header's value is unknown or reaches beyond its table")
    if tag in (b"A", b"F"):
        read = _read_array if tag == b"A" else _read_table
        return end, read(data[start:end], level + 1) if level < DEEPEST else None
    if tag in (b"T", b"D"):
        return end, Opaque(tag, data[start:end])
    return end, decode.TABLE_MAPPING[tag](data[place:end])[1]


def _value(value: Any) -> bytes:
    match value:
        case Opaque():
            return value.tag + value.data
        case dict():
            return b"F" + table(value)
        case list():
            return b"A" + _long(b"".join(map(_value, value)))
        case str():
            return b"S" + _long(value.encode("utf-8", "surrogateescape"))
        case bytes():
            return b"S" + _long(value)
        case float():
            # pamqp writes single precision: 1e300 would not fit, and 0.1 come out as another.
            return b"d" + encode.double(value)
    return encode.encode_table_value(value)


def _write_time(value: Any) -> bytes:
    return value.data if isinstance(value, Opaque) else encode.timestamp(value)


def _short(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack(">B", len(data)) + data


def _long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
