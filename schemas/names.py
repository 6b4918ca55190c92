"""Names that both sides of the broker must spell alike: objects, headers, message types."""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal

Lane = Literal["interactive", "bulk"]
LANES: Final[tuple[Lane, ...]] = ("interactive", "bulk")

CALLS_EXCHANGE: Final = "lark.calls"
REENTER_EXCHANGE: Final = "lark.reenter"
OVERFLOW_EXCHANGE: Final = "lark.overflow"
"""Leads by HEADER_OVERFLOW to the overflow queue that the header names."""
OWN_EXCHANGES: Final = frozenset({REENTER_EXCHANGE, OVERFLOW_EXCHANGE})
"""Where only the gateway writes copies of calls: what their `lark-` headers say is true."""
UNROUTED: Final = "lark.unrouted"
DEAD_LETTER_EXCHANGE: Final = "lark.dlx"
DEAD_LETTER_QUEUE: Final = "lark.dead"

RUNGS: Final[tuple[int, ...]] = (1, 2, 5, 15, 60, 300, 900, 3600)
"""Seconds that each retry rung holds a message."""

CALL_TYPE: Final = "lark.call.v1"
REPLY_TYPE: Final = "lark.reply.v1"
CONTENT_TYPE: Final = "application/json"

HEADER_CALL_ID: Final = "lark-call-id"
HEADER_DEADLINE: Final = "lark-deadline"
HEADER_STATUS: Final = "lark-status"
HEADER_ATTEMPTS: Final = "lark-attempts"
HEADER_FIRST_SEEN: Final = "lark-first-seen"
HEADER_TRIES: Final = "lark-tries"
HEADER_NOT_BEFORE: Final = "lark-not-before"
HEADER_NOT_AFTER: Final = "lark-not-after"
HEADER_OVERFLOW: Final = "lark-overflow"
HEADER_MOVED_AT: Final = "lark-moved-at"
HEADER_MEMBER: Final = "lark-member"
HEADER_MADE_UP: Final = "lark-made-up-id"
HEADER_REDELIVERED: Final = "lark-redelivered"
HEADER_DEAD_REASON: Final = "lark-dead-reason"
HEADER_DEAD_ERROR: Final = "lark-dead-error"
HEADER_ORIGIN_EXCHANGE: Final = "lark-origin-exchange"
HEADER_ORIGIN_ROUTING_KEY: Final = "lark-origin-routing-key"
HEADER_ORIGIN_USER: Final = "lark-origin-user"
TRACE_HEADERS: Final = ("traceparent", "tracestate")
PRODUCER_HEADERS: Final = frozenset({HEADER_CALL_ID, HEADER_DEADLINE})
"""The `lark-` headers that a producer may set; every other one is the gateway's own."""

DIRECT_REPLY_TO: Final = "amq.rabbitmq.reply-to"
REPLY_QUEUE_PREFIXES: Final = ("amq.gen-", "amq_", "lark.reply.")

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_RESPONSE_BYTES: Final = 10 * 1024 * 1024

ALIAS: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CALL_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def calls_queue(alias: str, lane: Lane) -> str:
    """Name the queue of one lane of one app."""
    return f"{CALLS_EXCHANGE}.{alias}.{lane}"


def retry_queue(alias: str) -> str:
    """Name the queue through which delayed copies of an app's calls come back."""
    return f"{CALLS_EXCHANGE}.{alias}.retry"


def overflow_queue(alias: str, lane: Lane, bucket_key: str) -> str:
    """Name the queue that takes the excess of one saturated bucket, of one lane."""
    digest = hashlib.sha256(bucket_key.encode()).hexdigest()[:16]
    return f"{OVERFLOW_EXCHANGE}.{alias}.{lane}.{digest}"


def is_overflow_queue(queue: str) -> bool:
    """Say whether a queue of this name is an overflow queue."""
    return queue.startswith(f"{OVERFLOW_EXCHANGE}.")


def alias_of(queue: str) -> str:
    """The alias in the name of a queue of an app or pool: of a lane, of retries, of overflow."""
    return queue.split(".")[2]


def rung(seconds: int) -> str:
    """Name the exchange and the queue of one retry rung."""
    return f"lark.retry.{seconds}s"


def may_reply_to(reply_to: str) -> bool:
    """Say whether a reply may be sent to this name: direct reply-to or a reply queue."""
    if reply_to.startswith(DIRECT_REPLY_TO):
        rest = reply_to[len(DIRECT_REPLY_TO) :]
        return rest == "" or (rest.startswith(".") and len(rest) > 1)
    return any(
        reply_to.startswith(prefix) and len(reply_to) > len(prefix)
        for prefix in REPLY_QUEUE_PREFIXES
    )
