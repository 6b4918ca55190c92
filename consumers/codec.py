"""Bytes and properties of a delivery into a call, or poison. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pamqp import commands as spec
from pydantic import ValidationError

from schemas import names
from schemas.call import Call
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType

DAY_SECONDS = 86_400.0
DEFAULT_DEADLINE_SECONDS = 60.0
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
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
_DIGITS = re.compile(r"0*([0-9]{1,30})[0-9]*")
"""A number of any length; its first digits are enough to know that it is far away."""


class Poison(Exception):
    """The delivery is no call that may be made: answer it with *type* and bury it as *reason*."""

    def __init__(self, reason: DeadReason, type_: ErrorType, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.type = type_
        self.message = message


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as the broker handed it over. *queue* is where it came out; times are Unix."""

    body: bytes
    properties: spec.Basic.Properties
    exchange: str
    routing_key: str
    queue: str
    redelivered: bool
    received: float

    @property
    def headers(self) -> Mapping[str, Any]:
        """The message's headers, never None."""
        return self.properties.headers or {}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the answer to a delivery goes; read leniently, so that poison is answered too."""

    call_id: str | None
    reply_to: str | None
    """None also where the name given is not one that may be replied to."""
    correlation_id: str | None
    trace: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class History:
    """What the gateway wrote on an earlier copy. Times are Unix seconds."""

    first_seen: float
    attempts: int
    tries: int
    not_before: float
    producer: str | None
    made_up_id: bool


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the properties of a call say. `deadline` is Unix time."""

    call_id: str
    id_given: bool
    deadline: float
    history: History


def address_of(delivery: Delivery) -> Address:
    """Read call id, reply address and trace context; what is unusable is None."""
    properties, headers = delivery.properties, delivery.headers
    given = headers.get(names.HEADER_CALL_ID, properties.message_id)
    usable = isinstance(given, str) and names.CALL_ID.fullmatch(given)
    reply_to = properties.reply_to
    trace = {name: headers[name] for name in names.TRACE_HEADERS if _is_text(headers.get(name))}
    return Address(
        call_id=given if usable else None,
        reply_to=reply_to if reply_to and names.may_reply_to(reply_to) else None,
        correlation_id=properties.correlation_id,
        trace=trace,
    )


def check_reply_to(delivery: Delivery) -> None:
    """Refuse an address that is no reply queue: the gateway could write to any queue."""
    reply_to = delivery.properties.reply_to
    if reply_to and not names.may_reply_to(reply_to):
        raise Poison(
            DeadReason.FORBIDDEN,
            ErrorType.FORBIDDEN,
            "reply_to: must be amq.rabbitmq.reply-to or begin with amq.gen-, amq_ or lark.reply.",
        )


def open_envelope(delivery: Delivery) -> Envelope:
    """Read and check the properties; raise Poison naming the property and the rule."""
    properties, headers = delivery.properties, delivery.headers
    if "CC" in headers:
        raise Poison(DeadReason.FORBIDDEN, ErrorType.FORBIDDEN, "header CC: is not allowed")
    _check_form(properties)
    id_given = names.HEADER_CALL_ID in headers or properties.message_id is not None
    given = headers.get(names.HEADER_CALL_ID, properties.message_id)
    if id_given and not (isinstance(given, str) and names.CALL_ID.fullmatch(given)):
        raise _invalid("call id: must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    history = history_of(delivery)
    return Envelope(
        call_id=given or f"made-up-{uuid.uuid4().hex}",
        id_given=id_given and not history.made_up_id,
        deadline=_deadline(delivery, history.first_seen),
        history=history,
    )


def history_of(delivery: Delivery) -> History:
    """Read what an earlier pass left in the headers; from a producer it counts for nothing."""
    headers = delivery.headers
    if delivery.exchange != names.REENTER_EXCHANGE:
        user = delivery.properties.user_id
        return History(delivery.received, 0, 0, 0.0, user if _is_text(user) else None, False)
    producer = headers.get(names.HEADER_ORIGIN_USER)
    return History(
        first_seen=_number(headers, names.HEADER_FIRST_SEEN, delivery.received * 1000) / 1000,
        attempts=int(_number(headers, names.HEADER_ATTEMPTS, 0)),
        tries=int(_number(headers, names.HEADER_TRIES, 0)),
        not_before=_number(headers, names.HEADER_NOT_BEFORE, 0) / 1000,
        producer=producer if _is_text(producer) else None,
        made_up_id=headers.get(names.HEADER_MADE_UP) is True,
    )


def _check_form(properties: spec.Basic.Properties) -> None:
    if properties.content_type is not None:
        media_type = str(properties.content_type).split(";")[0].strip().lower()
        if media_type != names.CONTENT_TYPE:
            raise _invalid("content_type: must be application/json")
    if properties.content_encoding not in (None, "identity", "utf-8"):
        raise _invalid("content_encoding: must be absent, identity or utf-8")
    if properties.message_type not in (None, names.CALL_TYPE):
        raise _invalid(f"type: must be {names.CALL_TYPE}")


def _deadline(delivery: Delivery, first_seen: float) -> float:
    properties, headers = delivery.properties, delivery.headers
    default = DEFAULT_DEADLINE_SECONDS if properties.reply_to else DAY_SECONDS
    bounds = []
    if names.HEADER_DEADLINE in headers:
        given = headers[names.HEADER_DEADLINE]
        if isinstance(given, str) and (digits := _DIGITS.fullmatch(given)):
            given = int(digits.group(1))
        if not isinstance(given, int) or isinstance(given, bool) or given < 0:
            raise _invalid("header lark-deadline: must be Unix time in ms, a non-negative integer")
        bounds.append(min(given / 1000, first_seen + DAY_SECONDS))
    expiration = properties.expiration
    if isinstance(expiration, str) and (digits := _DIGITS.fullmatch(expiration)):
        bounds.append(first_seen + min(int(digits.group(1)) / 1000, DAY_SECONDS))
    return min(bounds) if bounds else first_seen + default


def _number(headers: Mapping[str, Any], name: str, default: float) -> float:
    value = headers.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 1024


def _invalid(message: str) -> Poison:
    return Poison(DeadReason.INVALID_CALL, ErrorType.INVALID_CALL, message)


def _malformed(message: str) -> Poison:
    return Poison(DeadReason.MALFORMED, ErrorType.INVALID_CALL, message)


def parse_call(body: bytes) -> Call:
    """Parse and check a body; raise Poison naming the field and the rule."""
    if not body:
        raise _malformed("body: is empty")
    if len(body) > names.MAX_BODY_BYTES:
        raise _malformed(f"body: is larger than {names.MAX_BODY_BYTES} bytes")
    shortened = _without_long_integers(body) if _LONG_NUMBER.search(body) else None
    try:
        document = orjson.loads(body if shortened is None else shortened)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"body: is not JSON: {error}"[:300]) from error
    # An upper bound of the depth: only a body with that many brackets is walked.
    if body.count(b"{") + body.count(b"[") > names.MAX_DEPTH and _too_deep(document):
        raise _malformed(f"body: is nested deeper than {names.MAX_DEPTH} levels")
    if not isinstance(document, dict):
        raise _invalid("body: must be a JSON object")
    if shortened is not None:
        raise _invalid("body: holds an integer beyond 64 bits")
    try:
        call = Call.model_validate(document)
    except ValidationError as error:
        raise _invalid(_explained(error)) from error
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
