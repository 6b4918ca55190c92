"""B7: queries that would mean another request, or many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.corpus.seeds import (
    LONG_INTEGER,
    PATH,
    Refused,
    Seed,
    Sent,
    call,
    escaped,
    malformed,
    text,
    written,
)

_SENT: dict[str, tuple[Any, str]] = {
    "none": ({}, ""),
    "no value": ({"a": ""}, "a="),
    "no name": ({"": "a"}, "=a"),
    "neither": ({"": ""}, "="),
    "repeated": ({"a": ["x", "y", "x"]}, "a=x&a=y&a=x"),
    "an empty list": ({"a": []}, ""),
    "an empty list among others": ({"a": 1, "b": [], "c": 2}, "a=1&c=2"),
    "a list of all kinds": ({"a": ["x", 1, 1.5, True, False]}, "a=x&a=1&a=1.5&a=true&a=false"),
    "booleans": ({"a": True, "b": False}, "a=true&b=false"),
    "order": ({"b": 1, "a": 2, "9": 3, "10": 4}, "b=1&a=2&9=3&10=4"),
    "names by case": ({"a": 1, "A": 2}, "a=1&A=2"),
    "a token in it": ({"access_token": "t-x"}, "access_token=t-x"),
    "another's token": ({"tenant_access_token": "x"}, "tenant_access_token=x"),
    "as a list in PHP": ({"a[]": "x", "a[b]": "y"}, "a%5B%5D=x&a%5Bb%5D=y"),
    "10,000 names": (
        {f"k{n}": n for n in range(10_000)},
        "&".join(f"k{n}={n}" for n in range(10_000)),
    ),
    "10,000 values": ({"a": list(range(10_000))}, "&".join(f"a={n}" for n in range(10_000))),
    "a value of 64 KiB": ({"a": "x" * 65_536}, "a=" + "x" * 65_536),
    "a name of 64 KiB": ({"x" * 65_536: 1}, "x" * 65_536 + "=1"),
    "edges of 64 bits": (
        {"a": 2**64 - 1, "b": -(2**63), "c": 2**53 + 1},
        f"a={2**64 - 1}&b={-(2**63)}&c={2**53 + 1}",
    ),
    "a small fraction": ({"a": 0.5, "b": -0.25}, "a=0.5&b=-0.25"),
}
_SIGNS = [
    *(
        "&",
        "=",
        "&b=1",
        "=b",
        "#",
        "#b",
        "?",
        ";",
        ";b=1",
        "%",
        "%26",
        "%3D",
        "%23",
        "%00",
        "+",
        " ",
    ),
    *(
        "\0",
        "\r\n",
        "\n",
        " HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "\t",
        "/",
        "../",
        "\\",
        "//evil",
    ),
    *("[", "{", "|", "'", '"', "<", "é", "字", "😀", "\u2028", "\ufeff", "%u0026", "&amp;", "\x7f"),
]
_REFUSED: dict[str, Any] = {
    "null": None,
    "a list": [],
    "a string": "a=b",
    "a number": 1,
    "true": True,
    "null in it": {"a": None},
    "an object in it": {"a": {"b": 1}},
    "an empty object in it": {"a": {}},
    "a list of lists": {"a": [[1]]},
    "null in a list": {"a": [1, None]},
    "an object in a list": {"a": [{}]},
    "the last of 1,000": {f"k{n}": n for n in range(1_000)} | {"a": None},
    "a name of 64 KiB without a value": {"x" * 65_536: None},
}


def seeds() -> Iterator[Seed]:
    """What is sent, encoded by the rules of URLs, and what is no query."""
    for name, (query, sent) in _SENT.items():
        target = f"{PATH}?{sent}" if sent else PATH
        yield Seed(name, Sent(target=target), text(call(query=query)))
    for sign in _SIGNS:
        query, code = {f"a{sign}": f"b{sign}"}, escaped(sign)
        yield Seed(
            f"sign {sign!r}", Sent(target=f"{PATH}?a{code}=b{code}"), text(call(query=query))
        )
    for name, value in _REFUSED.items():
        yield Seed(f"no query: {name}", Refused(("query",)), text(call(query=value)))
    for number in (b"18446744073709551616", b"-9223372036854775809", b"9" * 5_000):
        for template in (b'{"a":%s}', b'{"a":[1,%s]}'):
            body = written("query", template % number)
            yield Seed(f"long integer {template!r} {len(number)}", LONG_INTEGER, body)
    for word in (b"NaN", b"Infinity", b"-Infinity"):
        yield Seed(f"number {word!r}", malformed("JSON"), written("query", b'{"a":%s}' % word))
    twice = written("query", b'{"a":1,"a":2}')
    yield Seed("name twice", Sent(target=f"{PATH}?a=2"), twice)
