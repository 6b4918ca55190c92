"""The reply to one call, as bytes. Feishu's JSON is put into it as it came, not printed again."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import GatewayError, Refused
from gateway.feishu import Answer
from gateway.outcomes.protocol import Recorded
from gateway.redaction import Redactor
from schemas import names
from schemas.reply import CallError

from .codec import Address


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a call took, and where. Milliseconds."""

    queue_ms: int = 0
    limit_wait_ms: int = 0
    upstream_ms: int = 0
    total_ms: int = 0


def error_of(error: GatewayError, redactor: Redactor, log_id: str | None = None) -> CallError:
    """Describe a failure as the contract does, without any secret that its sentences may quote."""
    retry_after = error.retry_after
    return CallError(
        type=error.type,
        message=redactor.text(error.message),
        retryable=error.type.retryable,
        outcome=error.outcome,
        retry_after_ms=None if retry_after is None else max(0, round(retry_after * 1000)),
        code=error.code,
        log_id=error.log_id or log_id,
        hint=redactor.text(error.hint) if error.hint else error.hint,
    )


def said_of(
    answer: Answer | None, error: CallError | None, *, attempts: int, app: str | None
) -> Recorded:
    """What a reply says of how the call ended, as every reply to its id will say it again."""
    return Recorded(
        response=None if answer is None else orjson.dumps(_response(answer)),
        error=None if error is None else orjson.dumps(error_document(error)),
        attempts=attempts,
        app=app or "",
    )


def error_document(error: CallError) -> dict[str, Any]:
    """An error as JSON has it, without what is not known of it."""
    return error.model_dump(mode="json", exclude_none=True)


def error_in(said: Recorded) -> GatewayError | None:
    """The failure that a reply told of, so that it ends like any other; None for a success."""
    if said.error is None:
        return None
    told = CallError.model_validate_json(said.error)
    return Refused(
        told.type,
        told.message,
        outcome=told.outcome,
        retry_after=None if told.retry_after_ms is None else told.retry_after_ms / 1000,
        code=told.code,
        log_id=told.log_id,
        hint=told.hint,
    )


def reply_body(
    *,
    call_id: str | None,
    said: Recorded,
    duplicate: bool = False,
    pool: str | None = None,
    api: str | None = None,
    log_id: str | None = None,
    timing: Timing | None = None,
) -> bytes:
    """Print a reply: the five keys always, empty optional ones not at all."""
    meta: dict[str, Any] = {"app": said.app or None, "pool": pool, "api": api}
    meta |= {"attempts": said.attempts, "duplicate": duplicate, "log_id": log_id}
    if timing is not None:
        meta |= {
            "queue_ms": timing.queue_ms,
            "limit_wait_ms": timing.limit_wait_ms,
            "upstream_ms": timing.upstream_ms,
            "total_ms": timing.total_ms,
        }
    return orjson.dumps(
        {
            "ok": said.error is None,
            "call_id": call_id,
            "response": None if said.response is None else orjson.Fragment(said.response),
            "error": None if said.error is None else orjson.Fragment(said.error),
            "meta": {key: value for key, value in meta.items() if value is not None},
        }
    )


def _response(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"status": answer.status, "headers": dict(answer.headers)}
    if answer.is_json and answer.body is not None:
        response["body"] = orjson.Fragment(answer.body)
        return response
    response["body"] = None
    if answer.body is not None:
        response["body_base64"] = b64encode(answer.body).decode()
        response["content_type"] = answer.content_type
    return response


def reply_properties(address: Address, *, ok: bool) -> dict[str, Any]:
    """Properties of a reply. None of the call's headers but its trace context is copied."""
    headers: dict[str, Any] = {
        names.HEADER_STATUS: "ok" if ok else "error",
        **address.trace,
    }
    if address.call_id is not None:
        headers[names.HEADER_CALL_ID] = address.call_id
    return {
        "correlation_id": address.correlation_id,
        "content_type": names.CONTENT_TYPE,
        "message_type": names.REPLY_TYPE,
        "headers": headers,
    }
