"""B2: each naughty string in each field that takes a string."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.corpus.naughty import strings
from tests.corpus.seeds import (
    PATH,
    UNROUTED,
    Refused,
    Seed,
    Sent,
    Verdict,
    call,
    escaped,
    is_text,
    malformed,
    sent_body,
    text,
)

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SEGMENT = re.compile(r"[A-Za-z0-9_.:@=~-]+")
_HEADER = re.compile(r"[ -~]{0,1024}")
_NO_TEXT = malformed("JSON")
_LONGEST_PATH = 512
_LONGEST_MARK = 8
_LARGEST_HEADER = 130_000
"""Bytes; all headers of a message go into one frame of 128 KiB."""
_LARGEST_KEY = 255 - len(".interactive")


def seeds() -> Iterator[Seed]:
    """Every string seven times, but for call ids and routing keys that AMQP cannot carry."""
    for place, value in enumerate(strings()):
        name = f"{place} {value[:12]!r}"
        size = len(value.encode("utf-8", "surrogatepass"))
        if size < _LARGEST_HEADER:
            yield _call_id(name, value)
        if size < _LARGEST_KEY:
            yield _app(name, value)
        yield Seed(f"path {name}", _path(value), text(call(path=f"{PATH}/{value}")))
        yield _query(f"query key {name}", {value: "1"}, f"{_or_empty(value)}=1", value)
        yield _query(f"query value {name}", {"k": value}, f"k={_or_empty(value)}", value)
        yield Seed(f"header {name}", _header(value), text(call(headers={"X-Request-Id": value})))
        document = text({"text": value})
        verdict = sent_body(document) if is_text(value) else _NO_TEXT
        yield Seed(f"body {name}", verdict, text(call(method="PUT", body={"text": value})))


def _bytes(value: str) -> bool:
    """Whether its surrogates stand for bytes that are no UTF-8, as Python reads them."""
    return all(0xDC80 <= ord(char) <= 0xDCFF for char in value if 0xD800 <= ord(char) <= 0xDFFF)


def _call_id(name: str, value: str) -> Seed:
    body, verdict = text(call()), Sent() if _ID.fullmatch(value) else Refused(("call id", "128"))
    given = value.encode("utf-8", "surrogateescape" if _bytes(value) else "surrogatepass")
    return Seed(f"call id {name}", verdict, body, {"headers": {"lark-call-id": given}})


def _app(name: str, value: str) -> Seed:
    if not _bytes(value):
        value = value.encode("utf-8", "replace").decode()
    words = f"{value}.interactive".split(".")
    served = words[0] == "default" and words[1] in ("interactive", "bulk")
    verdict = Sent() if served else UNROUTED
    return Seed(f"app {name}", verdict, text(call()), routing_key=f"{value}.interactive")


def _path(value: str) -> Verdict:
    if not is_text(value):
        return _NO_TEXT
    segments = value.split("/")
    legal = all(_SEGMENT.fullmatch(part) and part not in (".", "..", ":") for part in segments)
    if not legal or len(PATH) - 4 + _LONGEST_MARK + 1 + len(value) > _LONGEST_PATH:
        return Refused(("path",))
    if any(part.startswith(":") for part in segments):
        return Refused(("path_params", "missing"))
    return Sent(target=f"{PATH}/{value}")


def _or_empty(value: str) -> str:
    return escaped(value) if is_text(value) else ""


def _query(name: str, query: dict[str, str], sent: str, value: str) -> Seed:
    verdict = Sent(target=f"{PATH}?{sent}") if is_text(value) else _NO_TEXT
    return Seed(name, verdict, text(call(query=query)))


def _header(value: str) -> Verdict:
    if not is_text(value):
        return _NO_TEXT
    if not _HEADER.fullmatch(value):
        return Refused(("headers", "X-Request-Id"))
    return Sent(headers={"X-Request-Id": value})
