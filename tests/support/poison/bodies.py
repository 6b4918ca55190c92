"""Bodies that are no JSON object."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.support.poison.kinds import CALL, Poison, call_with

MIB = 1024 * 1024
GOOD = json.dumps(CALL).encode()


def nested(levels: int, opening: str = '{"a":', closing: str = "}") -> Any:
    """A JSON value of so many levels."""
    return json.loads(opening * (levels - 1) + opening[0] + closing + closing * (levels - 1))


def _with(value: bytes) -> bytes:
    """The good call with a field that is written exactly so."""
    return GOOD[:-1] + b', "body": ' + value + b"}"


def _malformed(name: str, body: bytes, *says: str, within: float = 1.0) -> Poison:
    says = ("body", *(says or ("JSON",)))
    return Poison(name, body, says, reason="malformed", within=within)


NO_JSON = [
    _malformed("empty body", b"", "empty"),
    _malformed("blanks", b" \n\t"),
    _malformed("words", b"please send hi"),
    _malformed("one byte", b"{"),
    _malformed("NUL", b"\0"),
    _malformed("broken off", GOOD[:-1]),
    _malformed("broken off in a string", GOOD[:20]),
    _malformed("two documents", GOOD + GOOD),
    _malformed("something after it", GOOD + b";"),
    _malformed("trailing comma", GOOD[:-1] + b",}"),
    _malformed("comment", b"/* a call */" + GOOD),
    _malformed("single quotes", GOOD.replace(b'"', b"'")),
    _malformed("names without quotes", GOOD.replace(b'"method"', b"method")),
    _malformed("line break in a string", _with(b'"a\nb"')),
    _malformed("control character in a string", _with(b'"a\x01b"')),
    _malformed("unknown escape", _with(rb'"\x41"')),
    _malformed("broken escape", _with(rb'"\u12"')),
    _malformed("NaN", _with(b"NaN")),
    _malformed("Infinity", _with(b"Infinity")),
    _malformed("minus Infinity", _with(b"-Infinity")),
    _malformed("number beyond any range", _with(b"1e400")),
    _malformed("leading zero", _with(b"01")),
    _malformed("leading plus", _with(b"+1")),
    _malformed("no digit before the point", _with(b".5")),
    _malformed("no digit after the point", _with(b"1.")),
    _malformed("hexadecimal", _with(b"0x10")),
    _malformed("Python's True", _with(b"True")),
    _malformed("byte order mark", b"\xef\xbb\xbf" + GOOD),
    _malformed("UTF-16", GOOD.decode().encode("utf-16")),
    _malformed("UTF-32", GOOD.decode().encode("utf-32")),
    _malformed("Latin-1", _with('"café"'.encode("latin-1"))),
    _malformed("GBK", _with('"你好"'.encode("gbk"))),
    _malformed("overlong UTF-8", _with(b'"\xc0\xaf"')),
    _malformed("UTF-8 broken off", _with(b'"\xe4\xbd"')),
    _malformed("surrogate as UTF-8", _with(b'"\xed\xa0\x80"')),
    _malformed("lone high surrogate", _with(rb'"\ud800"')),
    _malformed("lone low surrogate", _with(rb'"\udc00"')),
    _malformed("surrogates in the wrong order", _with(rb'"\udc00\ud800"')),
    _malformed("lone surrogate in a name", _with(rb'{"\ud800": 1}')),
    _malformed("gzip", gzip.compress(GOOD)),
    _malformed("random bytes", bytes(range(256))),
]

TOO_MUCH = [
    _malformed("a byte more than 16 MiB", _with(b'"' + b"x" * 16 * MIB + b'"'), "16", within=10),
    _malformed("16 MiB of no JSON and a byte", b"x" * (16 * MIB + 1), "16", within=10),
    _malformed("65 levels of objects", json.dumps(call_with(body=nested(64))).encode(), "64"),
    _malformed(
        "65 levels of arrays", json.dumps(call_with(body=nested(64, "[", "]"))).encode(), "64"
    ),
    _malformed("65 levels without an object", b"[" * 65 + b"]" * 65, "64"),
    _malformed("65 levels in an unknown field", b'{"a":' * 64 + b"{}" + b"}" * 64, "64"),
    _malformed("900 levels", _with(b"[" * 900 + b"]" * 900), "64"),
    _malformed("100,000 levels", _with(b"[" * 100_000 + b"]" * 100_000), "body"),
    _malformed("100,000 levels, never closed", _with(b"[" * 100_000), "body"),
]

NO_OBJECT = [
    Poison(name, body, ("body", "object"))
    for name, body in {
        "null": b"null",
        "true": b"true",
        "a number": b"42",
        "a string": b'"GET /open-apis/contact/v3/users/ou_1"',
        "an empty array": b"[]",
        "a call in an array": b"[" + GOOD + b"]",
        "a call in a string": json.dumps(GOOD.decode()).encode(),
    }.items()
]

LONG_INTEGERS = [
    Poison(f"integer beyond 64 bits, {name}", body, ("body", "64 bits"))
    for name, body in {
        "by one": _with(str(2**64).encode()),
        "by one below": _with(str(-(2**63) - 1).encode()),
        "of 40 digits": _with(b"9" * 40),
        "of 5,000 digits": _with(b"9" * 5_000),
        "below, of 5,000 digits": _with(b"-" + b"9" * 5_000),
        "in an array": _with(b"[1, 2.5, " + b"9" * 21 + b"]"),
        "deep inside": _with(b'{"a": [{"b\\"": "\\\\", "c": ' + b"9" * 20 + b"}]}"),
        "after a string of digits": _with(b'{"a": "' + b"1" * 30 + b'", "b": ' + b"9" * 20 + b"}"),
        "after a long fraction": _with(b"[0.1" + b"2" * 30 + b", " + b"9" * 20 + b"]"),
        "in the query": GOOD[:-1] + b', "query": {"page": 18446744073709551616}}',
        "in a list of the query": GOOD[:-1] + b', "query": {"page": [1, 99999999999999999999]}}',
    }.items()
]

KINDS = [*NO_JSON, *TOO_MUCH, *NO_OBJECT, *LONG_INTEGERS]
