"""What comes back: the reply, its error and the closed list of error types."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class ErrorType(StrEnum):
    """Why a call did not succeed. The list is closed; it grows only with the contract."""

    INVALID_CALL = "invalid_call"
    FORBIDDEN = "forbidden"
    UNROUTED = "unrouted"
    ID_REUSED = "id_reused"
    CREDENTIALS_INVALID = "credentials_invalid"
    APP_UNAVAILABLE = "app_unavailable"
    PERMISSION_DENIED = "permission_denied"
    REAUTH_REQUIRED = "reauth_required"
    IP_DENIED = "ip_denied"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    CIRCUIT_OPEN = "circuit_open"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    STORE_UNAVAILABLE = "store_unavailable"
    FEISHU_ERROR = "feishu_error"
    FEISHU_UNAVAILABLE = "feishu_unavailable"
    TIMEOUT = "timeout"
    BAD_RESPONSE = "bad_response"
    OUTCOME_UNKNOWN = "outcome_unknown"
    INTERNAL = "internal"

    @property
    def retryable(self) -> bool:
        """Whether publishing the same call again, same id, may succeed and harms nobody."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        ErrorType.RATE_LIMITED,
        ErrorType.CIRCUIT_OPEN,
        ErrorType.DEADLINE_EXCEEDED,
        ErrorType.STORE_UNAVAILABLE,
        ErrorType.FEISHU_UNAVAILABLE,
        ErrorType.TIMEOUT,
    }
)


class Outcome(StrEnum):
    """What Feishu did with the call."""

    NOT_EXECUTED = "not_executed"
    EXECUTED = "executed"
    UNKNOWN = "unknown"


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class CallError(_Model):
    """Why the call failed, for a program (`type`, `outcome`) and for people (`message`, `hint`)."""

    type: ErrorType
    message: str
    retryable: bool
    outcome: Outcome
    retry_after_ms: Annotated[int, Field(ge=0)] | None = None
    code: int | None = Field(default=None, description="Feishu's own code, where there is one.")
    log_id: str | None = Field(default=None, description="Feishu's X-Tt-Logid.")
    hint: str | None = None


class Response(_Model):
    """Feishu's answer. A body that is not JSON comes as `body_base64` with its `content_type`."""

    status: int
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    body_base64: str | None = None
    content_type: str | None = None


class Meta(_Model):
    """How the call was carried out. Times are milliseconds."""

    attempts: Annotated[int, Field(ge=0)]
    duplicate: bool
    app: str | None = Field(default=None, description="The app that the call was made for.")
    pool: str | None = Field(
        default=None, description="The pool that was called, where its member `app` served."
    )
    api: str | None = None
    log_id: str | None = None
    queue_ms: Annotated[int, Field(ge=0)] | None = None
    limit_wait_ms: Annotated[int, Field(ge=0)] | None = None
    upstream_ms: Annotated[int, Field(ge=0)] | None = None
    total_ms: Annotated[int, Field(ge=0)] | None = None


class Reply(_Model):
    """The answer to one call. The five keys are always there, null where there is nothing."""

    ok: bool
    call_id: str | None
    response: Response | None
    error: CallError | None
    meta: Meta
