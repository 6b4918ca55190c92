"""Dead letters as rows of Postgres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from .database import Database

_INSERT = """
INSERT INTO dead_letters
    (id, call_id, app, reason, error, body, headers, properties, routing_key, attempts, first_seen)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO NOTHING
"""
_MOST_ATTEMPTS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """One dead letter; the same `id` is stored once, however often its message is delivered."""

    id: UUID
    call_id: str | None
    app: str | None
    reason: str
    error: Mapping[str, Any]
    body: bytes
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    routing_key: str
    attempts: int
    first_seen: datetime | None


async def insert_dead_letter(database: Database, row: DeadLetterRow) -> bool:
    """Store a dead letter and say whether it is new; raises what Database raises.

    Text that Postgres cannot hold (NUL, lone surrogates) is stored with U+FFFD in its place, so
    that no message is too odd to be kept. The body is kept byte for byte.
    """
    return (
        await database.execute(
            _INSERT,
            row.id,
            _text(row.call_id),
            _text(row.app),
            _text(row.reason),
            _json(row.error),
            row.body,
            _json(row.headers),
            _json(row.properties),
            _text(row.routing_key),
            min(max(row.attempts, 0), _MOST_ATTEMPTS),
            row.first_seen,
        )
        == 1
    )


def _text(value: str | None) -> str | None:
    if value is None:
        return None
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\ufffd")


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(_storable(value), default=str).decode()


def _storable(value: Any) -> Any:
    match value:
        case str():
            return _text(value)
        case bytes() | bytearray():
            return _text(value.decode("utf-8", "replace"))
        case Mapping():
            return {_text(str(key)): _storable(item) for key, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
        case int() if not -(2**63) <= value < 2**64:
            return str(value)
        case _:
            return value
