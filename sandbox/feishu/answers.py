"""What the simulated Feishu answers, before it goes onto the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer when `body` is a dict, any other answer when it is bytes."""

    body: dict[str, Any] | bytes
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """Feishu's code; 0 for an answer that is no envelope."""
        return int(self.body.get("code", 0)) if isinstance(self.body, dict) else 0

    @property
    def succeeded(self) -> bool:
        return self.status < 300 and self.code == 0


def success(data: dict[str, Any] | None = None, **top_level: Any) -> Answer:
    """The usual envelope; `top_level` is for the endpoints that keep their fields beside `data`."""
    body: dict[str, Any] = {"code": 0, "msg": "success"}
    if top_level:
        body |= {"msg": "ok", **top_level}
    else:
        body["data"] = data or {}
    return Answer(body)


def failure(
    status: int,
    code: int,
    msg: str,
    *,
    error: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """A failure with Feishu's `error` object; the log id joins it when the answer is rendered."""
    body = {"code": code, "msg": msg, "error": error or {}}
    return Answer(body, status, headers=headers or {})


def bare_failure(code: int, msg: str) -> Answer:
    """How the token endpoints fail: HTTP 200 and no `error` object."""
    return Answer({"code": code, "msg": msg})


def field_violation(name: str, description: str, value: str = "") -> Answer:
    violation = {"field": name, "value": value, "description": description}
    return failure(
        400, 99992402, "field validation failed", error={"field_violations": [violation]}
    )


def not_found() -> Answer:
    """What an unknown path or method gets: no JSON at all."""
    return Answer(b"404 page not found", 404, TEXT)


def rate_limited(status: int, limit: int, reset: int) -> Answer:
    """`reset` is in whole seconds."""
    return failure(
        status,
        99991400,
        "request trigger frequency limit",
        headers={"x-ogw-ratelimit-limit": str(limit), "x-ogw-ratelimit-reset": str(reset)},
    )


def token_rejected(code: int = 99991663) -> Answer:
    return failure(400, code, "Invalid access token for authorization.")


def render(answer: Answer, log_id: str) -> web.Response:
    """The HTTP response for an answer."""
    body = answer.body
    if isinstance(body, dict):
        if isinstance(body.get("error"), dict):
            page = f"https://open.feishu.cn/search?log_id={log_id}"
            about = {"log_id": log_id, "troubleshooter": f"Search the log id: {page}"}
            body = {**body, "error": {**body["error"], **about}}
        body = orjson.dumps(body)
    headers = {"Content-Type": answer.content_type, "X-Tt-Logid": log_id, **answer.headers}
    return web.Response(body=body, status=answer.status, headers=headers)
