"""One bad or odd message, and what must become of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.corpus.forms import Form
from tests.support.producer import ROUTING_KEY

MARK = "MARK"
"""Stands for the seed's own mark wherever it is written; no two seeds share one."""
PATH = f"/open-apis/sim/{MARK}"


@dataclass(frozen=True, slots=True)
class Sent:
    """It is a call: exactly this request reaches Feishu, once, and its success is the answer.

    `document` is JSON text, compared digit by digit; `parts` are bytes that a multipart body must
    hold and `without` bytes that it must not.
    """

    method: str = "GET"
    target: str = PATH
    headers: Mapping[str, str] = field(default_factory=dict)
    document: bytes | None = None
    parts: tuple[bytes, ...] = ()
    without: tuple[bytes, ...] = ()
    answered: bool = True
    """Whether there is somebody to answer."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing reaches Feishu; the error has this type, and its message holds these words.

    It is buried as `reason`, or, where that is None, answered alone.
    """

    says: tuple[str, ...] = ()
    type: str = "invalid_call"
    reason: str | None = "invalid_call"
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Either:
    """The contract leaves it open: carried out, or refused with one of these types."""

    types: frozenset[str] = frozenset({"invalid_call"})


@dataclass(frozen=True, slots=True)
class Answered:
    """It is sent, and Feishu's host answers in this form."""

    form: Form


Verdict = Sent | Refused | Either | Answered


@dataclass(frozen=True, slots=True)
class Soon:
    """A deadline in the message's header: so many seconds after it is sent."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Seed:
    """A message; `name` says what is odd about it and is the same in every run.

    Its properties are added to a reply address, a correlation id and a call id of the seed's own.
    """

    name: str
    verdict: Verdict
    body: bytes = b""
    properties: Mapping[str, Any] = field(default_factory=dict)
    routing_key: str = ROUTING_KEY
    mark: str = MARK

    def marked(self, mark: str) -> Seed:
        """The same with its mark in the place of every MARK."""

        def put(value: Any) -> Any:
            match value:
                case str():
                    return value.replace(MARK, mark)
                case bytes():
                    return value.replace(MARK.encode(), mark.encode())
                case dict():
                    return {put(key): put(item) for key, item in value.items()}
                case list() | tuple():
                    return type(value)(put(item) for item in value)
            return value

        verdict = self.verdict
        if isinstance(verdict, Sent):
            names = ("target", "headers", "document", "parts")
            verdict = replace(verdict, **{name: put(getattr(verdict, name)) for name in names})
        own = {"correlation_id": mark, "message_id": mark}
        return Seed(
            self.name,
            verdict,
            put(self.body),
            own | put(dict(self.properties)),
            put(self.routing_key),
            mark,
        )


def text(value: Any) -> bytes:
    """JSON with everything beyond ASCII escaped, lone surrogates too."""
    return json.dumps(value).encode()


def call(**fields: Any) -> dict[str, Any]:
    """A call that is carried out, with other fields; `as_` is `as`, and `...` leaves one out."""
    given = {"method": "GET", "path": PATH} | fields
    named = {"as" if name == "as_" else name: value for name, value in given.items()}
    return {name: value for name, value in named.items() if value is not ...}


def written(field_: str, value: bytes, **fields: Any) -> bytes:
    """Such a call with a field that is written exactly so."""
    return text(call(**fields))[:-1] + b', "' + field_.encode() + b'": ' + value + b"}"


def with_body(value: bytes) -> bytes:
    """A call whose body is written exactly so."""
    return written("body", value, method="PUT")


def sent_body(value: bytes) -> Sent:
    """What reaches Feishu of such a call."""
    return Sent("PUT", document=value)


def malformed(*says: str) -> Refused:
    """What becomes of a message that is no JSON."""
    return Refused(("body", *says), reason="malformed")


def forbidden(*says: str) -> Refused:
    """What becomes of what a producer may not do."""
    return Refused(says, "forbidden", "forbidden")


UNROUTED = Refused(("routing key",), "unrouted", "unrouted")
LONG_INTEGER = Refused(("body", "64 bits"))


def escaped(value: str) -> str:
    """Percent-encoded as a part of a URL: all but unreserved characters of ASCII."""
    plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in value.encode())


def is_text(value: str) -> bool:
    """Whether it holds no lone surrogate, which UTF-8 cannot write."""
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in value)
