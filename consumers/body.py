"""The body of a delivery into a call, or poison. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson
from pydantic import ValidationError

from schemas import names
from schemas.call import Call
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType

from .codec import Poison, invalid

_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
_NEXT_LONG_INTEGER = re.compile(
    rb"""
    (?: [^"0-9]++
      | [0-9]{1,18}+ (?![0-9.eE])
      | "(?:[^"\\]++|\\.)*+"
      | [0-9]++ (?: \.[0-9]++ (?:[eE][+-]?+[0-9]++)?+ | [eE][+-]?+[0-9]++ )
    )*+
    ([0-9]{19,}+)
    """,
    re.DOTALL | re.VERBOSE,
)
"""Over short integers, strings and other numbers to the next integer of 19 digits or more."""


def parse_call(body: bytes) -> Call:
    """Parse and check a body; raise Poison naming the field and the rule."""
    if not body:
        raise _malformed("body: is empty")
    if len(body) > names.MAX_BODY_BYTES:
        raise _malformed(f"body: is larger than {names.MAX_BODY_BYTES} bytes")
    # An expression for 19 digits would take ten times as long: 0.1 s for the largest body.
    has_long = _LONG_NUMBER in body.translate(_DIGITS_AS_ZERO)
    shortened = _without_long_integers(body) if has_long else None
    try:
        document = orjson.loads(body if shortened is None else shortened)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"body: is not JSON: {error}"[:300]) from error
    # An upper bound of the depth: only a body with that many brackets is walked.
    if body.count(b"{") + body.count(b"[") > names.MAX_DEPTH and _too_deep(document):
        raise _malformed(f"body: is nested deeper than {names.MAX_DEPTH} levels")
    if not isinstance(document, dict):
        raise invalid("body: must be a JSON object")
    if shortened is not None:
        raise invalid("body: holds an integer beyond 64 bits")
    try:
        call = Call.model_validate(document)
    except ValidationError as error:
        raise invalid(_explained(error)) from error
    if call.asks_for_credentials():
        raise Poison(
            DeadReason.FORBIDDEN,
            ErrorType.FORBIDDEN,
            "path: credential endpoints are the gateway's own business",
        )
    return call


def _too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(names.MAX_DEPTH + 1):
        level = [node for node in level if isinstance(node, dict | list)]
        if not level:
            return False
        level = [
            child for node in level for child in (node.values() if isinstance(node, dict) else node)
        ]
    return True


def _without_long_integers(body: bytes) -> bytes | None:
    """The body with 0 for every integer beyond 64 bits; None where there is none.

    The parser turns such an integer into a float, silently, and refuses those of 309 digits.
    """
    parts, place, copied = [], 0, 0
    while found := _NEXT_LONG_INTEGER.match(body, place):
        start, place = found.span(1)
        most = 2**63 if body[start - 1 : start] == b"-" else 2**64 - 1
        if place - start > 20 or int(found[1]) > most:
            parts += [body[copied:start], b"0"]
            copied = place
    return b"".join([*parts, body[copied:]]) if parts else None


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part)[:64] for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "is not a field of a call"
    elif first["type"] == "missing":
        message = "is required"
    return f"{field}: {message}" if field else message


def _malformed(message: str) -> Poison:
    return Poison(DeadReason.MALFORMED, ErrorType.INVALID_CALL, message)
