"""Properties of a delivery into what they say, or poison. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pamqp import commands as spec

from schemas import names
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType

DAY_SECONDS = 86_400.0
DEFAULT_DEADLINE_SECONDS = 60.0
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
    moved_at: float
    """When it was moved into an overflow queue; 0 where it never was."""
    producer: str | None
    made_up_id: bool
    redelivered: bool
    """Whether a delivery before this one may have had it sent, and nobody has shown otherwise."""
    member: str | None = None
    """The app of the pool that may have executed it: no other may be asked."""


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
        raise invalid("call id: must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
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
    if delivery.exchange not in names.OWN_EXCHANGES:
        user = delivery.properties.user_id
        return History(
            first_seen=delivery.received,
            attempts=0,
            tries=0,
            not_before=0.0,
            moved_at=0.0,
            producer=user if _is_text(user) else None,
            made_up_id=False,
            redelivered=delivery.redelivered,
        )
    producer = headers.get(names.HEADER_ORIGIN_USER)
    member = headers.get(names.HEADER_MEMBER)
    return History(
        first_seen=_number(headers, names.HEADER_FIRST_SEEN, delivery.received * 1000) / 1000,
        attempts=int(_number(headers, names.HEADER_ATTEMPTS, 0)),
        tries=int(_number(headers, names.HEADER_TRIES, 0)),
        not_before=_number(headers, names.HEADER_NOT_BEFORE, 0) / 1000,
        moved_at=_number(headers, names.HEADER_MOVED_AT, 0) / 1000,
        producer=producer if _is_text(producer) else None,
        made_up_id=headers.get(names.HEADER_MADE_UP) is True,
        redelivered=delivery.redelivered or headers.get(names.HEADER_REDELIVERED) is True,
        member=member if _is_text(member) else None,
    )


def _check_form(properties: spec.Basic.Properties) -> None:
    if properties.content_type is not None:
        media_type = str(properties.content_type).split(";")[0].strip().lower()
        if media_type != names.CONTENT_TYPE:
            raise invalid("content_type: must be application/json")
    if properties.content_encoding not in (None, "identity", "utf-8"):
        raise invalid("content_encoding: must be absent, identity or utf-8")
    if properties.message_type not in (None, names.CALL_TYPE):
        raise invalid(f"type: must be {names.CALL_TYPE}")


def _deadline(delivery: Delivery, first_seen: float) -> float:
    properties, headers = delivery.properties, delivery.headers
    if delivery.exchange in names.OWN_EXCHANGES and names.HEADER_NOT_AFTER in headers:
        return _number(headers, names.HEADER_NOT_AFTER, first_seen * 1000) / 1000
    default = DEFAULT_DEADLINE_SECONDS if properties.reply_to else DAY_SECONDS
    bounds = []
    if names.HEADER_DEADLINE in headers:
        given = headers[names.HEADER_DEADLINE]
        if isinstance(given, str) and (digits := _DIGITS.fullmatch(given)):
            given = int(digits.group(1))
        if not isinstance(given, int) or isinstance(given, bool) or given < 0:
            raise invalid("header lark-deadline: must be Unix time in ms, a non-negative integer")
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


def invalid(message: str) -> Poison:
    """Poison that breaks a rule of the contract, which *message* names."""
    return Poison(DeadReason.INVALID_CALL, ErrorType.INVALID_CALL, message)
