"""A dead letter: a call that was given up, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from .reply import CallError


class DeadReason(StrEnum):
    """The values of the header `lark-dead-reason`."""

    MALFORMED = "malformed"
    INVALID_CALL = "invalid_call"
    FORBIDDEN = "forbidden"
    UNROUTED = "unrouted"
    DELIVERY_LIMIT = "delivery_limit"
    EXPIRED = "expired"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"


class DeadLetter(BaseModel):
    """What the headers of a dead letter say; its body is the call's, unchanged."""

    model_config = ConfigDict(frozen=True)

    reason: DeadReason
    error: CallError
    call_id: str | None = None
    attempts: Annotated[int, Field(ge=0)] = 0
    first_seen: int = Field(description="Unix time in ms when the gateway first received the call.")
    origin_exchange: str = ""
    origin_routing_key: str = ""
    origin_user: str | None = None
