"""Properties of what the gateway sends on: delayed copies and dead letters. Pure."""

from __future__ import annotations

import math
import uuid
from typing import Any

from schemas import names
from schemas.dead_letter import DeadLetter

from .codec import Delivery, Envelope
from .wire import table

MOST_HEADER_BYTES = 64 * 1024
"""Of the producer's headers: one frame of 128 KiB must hold them together with the gateway's."""

_KEPT = (
    "content_type",
    "content_encoding",
    "message_id",
    "correlation_id",
    "reply_to",
    "priority",
    "timestamp",
    "message_type",
    "app_id",
)
_NOT_KEPT = frozenset({"CC", "BCC"})


def kept_properties(delivery: Delivery) -> dict[str, Any]:
    """The producer's properties, without `expiration` and `user_id`."""
    properties = delivery.properties
    return {name: value for name in _KEPT if (value := getattr(properties, name, None)) is not None}


def kept_headers(delivery: Delivery) -> dict[str, Any]:
    """The producer's headers, without the broker's (`x-…`), `CC`, `BCC` and forged ones of ours.

    RabbitMQ reads `x-death` of a republished message, and routes by `CC` and `BCC`. Where they are
    more than MOST_HEADER_BYTES, the largest are left out.
    """
    kept = {
        name: value
        for name, value in delivery.headers.items()
        if not name.startswith("x-")
        and name not in _NOT_KEPT
        and (not name.startswith("lark-") or name in names.PRODUCER_HEADERS)
    }
    sizes = {name: len(table({name: value})) for name, value in kept.items()}
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if sum(sizes.values()) <= MOST_HEADER_BYTES:
            break
        del sizes[name], kept[name]
    return kept


def rung_within(delay: float) -> int:
    """The longest rung that is over before *delay* seconds are; a booked slot is not missed."""
    return max([n for n in names.RUNGS if n <= delay], default=names.RUNGS[0])


def rung_after(delay: float) -> int:
    """The shortest rung that lasts *delay* seconds; a pause is not cut short."""
    return min([n for n in names.RUNGS if n >= delay], default=names.RUNGS[-1])


def delayed_copy(
    delivery: Delivery, envelope: Envelope, *, attempts: int, tries: int, not_before: float
) -> dict[str, Any]:
    """Properties of a copy that goes to a retry rung; it keeps its call id, deadline and age."""
    headers = kept_headers(delivery) | {
        names.HEADER_CALL_ID: envelope.call_id,
        names.HEADER_NOT_AFTER: int(envelope.deadline * 1000),
        names.HEADER_FIRST_SEEN: int(envelope.history.first_seen * 1000),
        names.HEADER_ATTEMPTS: attempts,
        names.HEADER_TRIES: tries,
        names.HEADER_NOT_BEFORE: int(not_before * 1000),
    }
    if envelope.history.moved_at:
        headers[names.HEADER_MOVED_AT] = int(envelope.history.moved_at * 1000)
    if not envelope.id_given:
        headers[names.HEADER_MADE_UP] = True
    if envelope.history.redelivered:
        headers[names.HEADER_REDELIVERED] = True
    if envelope.history.producer is not None:
        headers[names.HEADER_ORIGIN_USER] = envelope.history.producer
    if envelope.history.member is not None:
        headers[names.HEADER_MEMBER] = envelope.history.member
    return kept_properties(delivery) | {"headers": headers}


def moved_copy(
    delivery: Delivery, envelope: Envelope, queue: str, *, attempts: int, tries: int, now: float
) -> dict[str, Any]:
    """Properties of a copy that goes into an overflow queue, where the broker counts its time."""
    copy = delayed_copy(delivery, envelope, attempts=attempts, tries=tries, not_before=0.0)
    copy["headers"] |= {names.HEADER_OVERFLOW: queue, names.HEADER_MOVED_AT: math.ceil(now * 1000)}
    left = math.ceil((envelope.deadline - now) * 1000)
    return copy | {"expiration": str(max(1, left))}


def dead_letter(delivery: Delivery, letter: DeadLetter) -> dict[str, Any]:
    """Properties of a dead letter; its body is the delivery's, unchanged."""
    headers = kept_headers(delivery)
    headers.pop(names.HEADER_CALL_ID, None)
    if letter.call_id is not None:
        headers[names.HEADER_CALL_ID] = letter.call_id
    headers |= {
        names.HEADER_DEAD_REASON: letter.reason.value,
        names.HEADER_DEAD_ERROR: letter.error.model_dump_json(exclude_none=True),
        names.HEADER_ATTEMPTS: letter.attempts,
        names.HEADER_FIRST_SEEN: letter.first_seen,
        names.HEADER_ORIGIN_EXCHANGE: letter.origin_exchange,
        names.HEADER_ORIGIN_ROUTING_KEY: letter.origin_routing_key,
    }
    if letter.origin_user is not None:
        headers[names.HEADER_ORIGIN_USER] = letter.origin_user
    # An id is made up here, once: a letter that is published twice becomes one row.
    return {"message_id": uuid.uuid4().hex} | kept_properties(delivery) | {"headers": headers}
