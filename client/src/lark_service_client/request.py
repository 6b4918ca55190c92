"""From the caller's arguments to the message that the contract asks for; it does no I/O."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from pydantic import ValidationError

from .failures import InvalidCall
from .schemas import names
from .schemas.call import Call, Method, Query, Retry
from .schemas.reply import Outcome

Resend = Literal["safe", "always", "never"]
MAX_EXPIRATION_MS = 24 * 60 * 60 * 1000
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_REPEATABLE_METHODS = frozenset({"GET", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class File:
    """One file of a multipart call; `field` is the form field that Feishu's API names."""

    field: str
    filename: str
    content: bytes
    content_type: str = "application/octet-stream"


class CallOptions(TypedDict, total=False):
    """What a call may say besides method and path; the contract's names, `as_` for `as`."""

    path_params: Mapping[str, str]
    query: Query
    headers: Mapping[str, str]
    body: Any
    form: Mapping[str, str]
    files: Sequence[File]
    as_: str | Mapping[str, str]
    retry: Retry
    lane: names.Lane
    app: str
    call_id: str | None
    traceparent: str | None
    tracestate: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One call, ready to be published as often as it may be."""

    call_id: str
    routing_key: str
    body: bytes
    headers: dict[str, str | int]
    deadline: float | None
    """Unix time in seconds, None for the gateway's default."""
    repeatable: bool
    """Whether a second publish does no harm even where the gateway keeps no record of the first."""
    once: bool
    """Whether the caller allowed one attempt only."""

    def expiration(self, now: float) -> str | None:
        """The AMQP `expiration` at Unix time `now`; what is beyond 24 h counts as 24 h."""
        if self.deadline is None:
            return None
        return str(min(max(int((self.deadline - now) * 1000), 1), MAX_EXPIRATION_MS))

    def may_be_resent(self, resend: Resend) -> bool:
        """Whether to publish it again after a connection died with its reply outstanding."""
        return resend != "never" and not self.once and (self.repeatable or resend == "always")


def request_of(
    method: Method,
    path: str,
    options: CallOptions,
    *,
    app: str,
    lane: names.Lane,
    deadline: float | None = None,
    tell_deadline: bool = True,
) -> Request:
    """Check and write down one call; `deadline` is Unix time in seconds. Raises InvalidCall."""
    call_id = options.get("call_id") or str(uuid.uuid4())
    routing_key = f"{options.get('app', app)}.{options.get('lane', lane)}"
    try:
        _check_address(call_id, routing_key)
        fields = _fields(method, path, options)
        Call.model_validate(fields)
        body = _written(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise _refused(f"{where}: {message}" if where else message, call_id) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(str(error), call_id) from error
    headers: dict[str, str | int] = {
        name: value
        for name in names.TRACE_HEADERS
        if (value := options.get(name)) and isinstance(value, str)
    }
    if deadline is not None and tell_deadline:
        headers[names.HEADER_DEADLINE] = int(deadline * 1000)
    retry = options.get("retry", "safe")
    return Request(
        call_id=call_id,
        routing_key=routing_key,
        body=body,
        headers=headers,
        deadline=deadline,
        repeatable=retry == "always" or (retry == "safe" and method in _REPEATABLE_METHODS),
        once=retry == "never",
    )


def _refused(message: str, call_id: str) -> InvalidCall:
    return InvalidCall(message, call_id=call_id, outcome=Outcome.NOT_EXECUTED)


def _check_address(call_id: str, routing_key: str) -> None:
    app, _, lane = routing_key.partition(".")
    if not names.CALL_ID.fullmatch(call_id):
        raise ValueError("call_id: must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    if not names.ALIAS.fullmatch(app):
        raise ValueError("app: must be an alias of a-z 0-9 _ -, at most 64 characters")
    if lane not in names.LANES:
        raise ValueError(f"lane: must be one of {', '.join(names.LANES)}")


def _fields(method: str, path: str, options: CallOptions) -> dict[str, Any]:
    fields: dict[str, Any] = {"method": method, "path": path}
    for name in ("path_params", "headers", "form"):
        if (mapping := options.get(name)) is not None:
            fields[name] = dict(mapping)  # type: ignore[call-overload]  # a Mapping by its type
    for name in ("query", "body", "retry"):
        if (value := options.get(name)) is not None:
            fields[name] = value
    if (as_ := options.get("as_")) is not None:
        fields["as"] = as_ if isinstance(as_, str) else dict(as_)
    if (files := options.get("files")) is not None:
        fields["files"] = [
            {
                "field": file.field,
                "filename": file.filename,
                "content_type": file.content_type,
                "content_base64": b64encode(file.content).decode(),
            }
            for file in files
        ]
    return fields


def _written(fields: dict[str, Any]) -> bytes:
    try:
        text = _JSON.encode(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"body: {error}") from error
    body = text.encode()
    if len(body) > names.MAX_BODY_BYTES:
        raise ValueError(
            f"the call has {len(body)} bytes; at most {names.MAX_BODY_BYTES} are allowed"
        )
    return body
