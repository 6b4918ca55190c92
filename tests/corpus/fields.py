"""B3: each field of a call with every kind of value, written as JSON writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.corpus.seeds import (
    LONG_INTEGER,
    PATH,
    Refused,
    Seed,
    Sent,
    Verdict,
    call,
    malformed,
    text,
)

_LARGE = 1_000_000
_KINDS = {
    "null": b"null",
    "true": b"true",
    "an integer": b"1",
    "a fraction": b"1.5",
    "a long integer": b"9" * 40,
    "NaN": b"NaN",
    "an empty string": b'""',
    "a string of a million": b'"' + b"x" * _LARGE + b'"',
    "a list": b'["x"]',
    "an empty list": b"[]",
    "an object": b'{"x":"y"}',
    "an empty object": b"{}",
    "200 levels": b"[" * 200 + b"]" * 200,
    "1,000 levels": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
}
_ALWAYS = {
    "a long integer": LONG_INTEGER,
    "NaN": malformed("JSON"),
    "200 levels": malformed("64"),
    "1,000 levels": malformed(),
    "100,000 levels": malformed(),
}
"""What JSON itself or its size decides, whatever the field."""

_OTHER = "POST"
_USER = f"{PATH}/:user"
_FILE = b'{"field":"image","filename":"a.png","content_type":"image/png","content_base64":"YQ=="}'
_MULTIPART = Sent(_OTHER)


@dataclass(frozen=True)
class _Field:
    """Where a value stands: in what it is written, what its message says, what it may be."""

    name: str
    write: Callable[[bytes], bytes]
    says: str
    good: bytes
    sent: Sent = field(default_factory=Sent)
    required: bool = False
    may_be: dict[str, Sent] | None = None


def _at(name: str, template: bytes, **others: object) -> Callable[[bytes], bytes]:
    """Writes the call with this field, its value in the place of @."""
    fields = text(call(**{name: ..., **others}))[:-1]
    before, _, after = template.partition(b"@")
    separator = b", " if len(fields) > 1 else b""
    label = name.removesuffix("_").encode()
    return lambda value: fields + separator + b'"' + label + b'": ' + before + value + after + b"}"


def _of_file(name: str) -> Callable[[bytes], bytes]:
    key, start = b'"' + name.encode() + b'":', _FILE.index(b'"' + name.encode() + b'":')
    end = _FILE.index(b'"', start + len(key) + 1) + 1
    template = b"[" + _FILE[:start] + key + b"@" + _FILE[end:] + b"]"
    return _at("files", template, method=_OTHER)


def _query(value: str) -> Sent:
    return Sent(target=f"{PATH}?k={value}")


_SCALARS = {
    "true": _query("true"),
    "an integer": _query("1"),
    "a fraction": _query("1.5"),
    "an empty string": _query(""),
    "a string of a million": _query("x" * _LARGE),
}
_ANYTHING = {
    kind: Sent("PUT", document=None if value == b"null" else value)
    for kind, value in _KINDS.items()
    if kind not in _ALWAYS
}
_FIELDS = [
    _Field("method", _at("method", b"@"), "method", b'"GET"', required=True),
    _Field("path", _at("path", b"@"), "path", f'"{PATH}"'.encode(), required=True),
    _Field(
        "path_params",
        _at("path_params", b"@", path=_USER),
        "path_params",
        b'{"user":"a"}',
        Sent(target=f"{PATH}/a"),
        required=True,
    ),
    _Field(
        "a path parameter",
        _at("path_params", b'{"user":@}', path=_USER),
        "user",
        b'"a"',
        Sent(target=f"{PATH}/a"),
    ),
    _Field(
        "query",
        _at("query", b"@"),
        "query",
        b'{"k":1}',
        _query("1"),
        may_be={"an empty object": Sent(), "an object": Sent(target=f"{PATH}?x=y")},
    ),
    _Field(
        "a query value",
        _at("query", b'{"k":@}'),
        "'k'",
        b'"v"',
        _query("v"),
        may_be={**_SCALARS, "a list": _query("x"), "an empty list": Sent()},
    ),
    _Field(
        "one of a list", _at("query", b'{"k":[@]}'), "'k'", b'"v"', _query("v"), may_be=_SCALARS
    ),
    _Field("headers", _at("headers", b"@"), "headers", b"{}", may_be={"an empty object": Sent()}),
    _Field(
        "a header",
        _at("headers", b'{"Range":@}'),
        "Range",
        b'"bytes=0-1"',
        Sent(headers={"Range": "bytes=0-1"}),
        may_be={"an empty string": Sent(headers={"Range": ""})},
    ),
    _Field(
        "body",
        _at("body", b"@", method="PUT"),
        "body",
        b"1",
        _ANYTHING["an integer"],
        may_be=_ANYTHING,
    ),
    _Field(
        "a value in a body",
        _at("body", b'{"k":@}', method="PUT"),
        "body",
        b"1",
        Sent("PUT", document=b'{"k":1}'),
        may_be={
            kind: Sent("PUT", document=b'{"k":' + value + b"}")
            for kind, value in _KINDS.items()
            if kind not in _ALWAYS
        },
    ),
    _Field(
        "form",
        _at("form", b"@", method=_OTHER),
        "form",
        b'{"k":"v"}',
        _MULTIPART,
        may_be={"an object": _MULTIPART, "an empty object": _MULTIPART},
    ),
    _Field(
        "a form field",
        _at("form", b'{"k":@}', method=_OTHER),
        "k",
        b'"v"',
        _MULTIPART,
        may_be={"an empty string": _MULTIPART, "a string of a million": _MULTIPART},
    ),
    _Field(
        "files",
        _at("files", b"@", method=_OTHER),
        "files",
        b"[" + _FILE + b"]",
        _MULTIPART,
        may_be={"an empty list": _MULTIPART},
    ),
    _Field("a file", _at("files", b"[@]", method=_OTHER), "files.0", _FILE, _MULTIPART),
    *(
        _Field(f"a file's {name}", _of_file(name), f"files.0.{name}", b'"a/b"', _MULTIPART)
        for name in ("field", "filename", "content_type")
    ),
    _Field(
        "a file's content_base64",
        _of_file("content_base64"),
        "files.0.content_base64",
        b'"YQ=="',
        _MULTIPART,
        may_be={"an empty string": _MULTIPART, "a string of a million": _MULTIPART},
    ),
    _Field("as", _at("as_", b"@"), "as:", b'"tenant"'),
    _Field("retry", _at("retry", b"@"), "retry", b'"never"'),
    *(
        _Field(name, _at(name, b"@"), name, b"", may_be={})
        for name in ("access_token", "domain", "url", "timeout", "call_id", "app", "params")
    ),
]


def seeds() -> Iterator[Seed]:
    """Each field with each kind, left out, in another case, twice, and beside a stranger."""
    for each in _FIELDS:
        for kind, value in _KINDS.items():
            yield Seed(f"{each.name}: {kind}", _verdict(each, kind), each.write(value))
        if each.good:
            yield from _around(each)


def _verdict(each: _Field, kind: str) -> Verdict:
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    return (each.may_be or {}).get(kind) or Refused((each.says,))


def _around(each: _Field) -> Iterator[Seed]:
    good = each.write(each.good)
    yield Seed(f"{each.name}: as it must be", each.sent, good)
    top = each.name.split(" ")[0]
    if each.name != top:
        return
    name = f'"{top}": '.encode()
    yield Seed(f"{each.name}: wrong case", _stranger(top), good.replace(name, name.title()))
    twice = good.replace(name, name + b"[[0]], " + name)
    yield Seed(f"{each.name}: twice, the last good", each.sent, twice)
    beside = good[:-1] + b', "x_' + top.encode() + b'": 1}'
    yield Seed(f"{each.name}: a stranger beside it", Refused((f"x_{top}", "not a field")), beside)
    if each.required:
        at = good.index(name)
        without = good[:at].rstrip(b", ") + b"}"
        says = ("missing",) if top == "path_params" else (top, "required")
        yield Seed(f"{each.name}: left out", Refused(says), without)


def _stranger(top: str) -> Refused:
    # The one that is required is missed first.
    if top in ("method", "path"):
        return Refused((top, "required"))
    return Refused((top.title(),) if top != "path_params" else ())
