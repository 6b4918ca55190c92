"""A reply or a preview as a person reads it."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

from schemas.names import Lane
from schemas.reply import CallError, Meta, Reply, Response

from .preview import CLASSES, Preview

_TIMES = (
    ("queue", "queue_ms"),
    ("limit", "limit_wait_ms"),
    ("Feishu", "upstream_ms"),
    ("total", "total_ms"),
)


def show_reply(console: Console, reply: Reply, seconds: float) -> None:
    """Print how the call ended, why, where its time went, and Feishu's answer."""
    status = "Feishu gave no answer" if reply.meta.attempts else "Feishu was not asked"
    if reply.response:
        status = f"HTTP {reply.response.status}"
    api = reply.meta.api or ""
    if reply.error is None:
        _line(console, ("ok", "bold green"), f"  {status}  {api}")
    else:
        _line(
            console, ("error", "bold red"), (f"  {reply.error.type}", "bold"), f"  {status}  {api}"
        )
        _show_error(console, reply.error)
    _fact(console, "call id", reply.call_id)
    _fact(console, "log id", reply.meta.log_id or (reply.error.log_id if reply.error else None))
    _fact(console, "meta", _meta(reply.meta, seconds))
    if reply.response is not None:
        _show_response(console, reply.response)


def show_preview(console: Console, preview: Preview, lane: Lane) -> None:
    """Print the request and the rules that hold for it."""
    request = preview.job.request
    _line(console, (request.method, "bold"), f" {request.url}")
    for name, value in preview.headers.items():
        _line(console, (f"{name}: ", "cyan"), value)
    console.print()
    if request.content is not None:
        show_json(console, request.content.decode())
    for name, value in request.form.items():
        _line(console, ("form field ", "cyan"), f"{name} = {value}")
    for part in request.files:
        size = len(part.content())
        _line(
            console,
            ("file ", "cyan"),
            f"{part.field} = {part.filename}, {part.content_type}, {size} bytes",
        )
    console.print()
    _fact(console, "call id", preview.job.call_id)
    _fact(console, "app, lane", f"{preview.job.app.alias}, {lane}")
    _fact(console, "api", preview.job.route.name)
    _fact(console, "class", CLASSES[preview.job.klass])
    if preview.key is not None:
        place, value = preview.key
        _fact(console, "key", f"{place} = {value}, the same for every attempt of this call id")
    windows = " and ".join(f"{w.limit} in {w.seconds} s" for w in preview.job.buckets[0].windows)
    _fact(console, "limits", f"{windows}, from {preview.limits_from}")
    console.print()
    console.print("Nothing was contacted.")


def show_json(console: Console, text: str) -> None:
    """Print JSON indented, in the order in which it came."""
    console.print_json(text, ensure_ascii=False)


def _show_error(console: Console, error: CallError) -> None:
    _line(console, error.message)
    if error.hint:
        _fact(console, "hint", error.hint)
    _fact(console, "Feishu code", error.code)
    if error.retry_after_ms is not None:
        _fact(console, "retry after", f"{error.retry_after_ms / 1000:g} s")
    again = "the same call may be made again" if error.retryable else "repeating it will not help"
    _fact(console, "outcome", f"{error.outcome}; {again}")


def _meta(meta: Meta, seconds: float) -> str:
    attempts = f"{meta.attempts} attempt" + ("" if meta.attempts == 1 else "s")
    times = [
        f"{name} {value} ms"
        for name, field in _TIMES
        if (value := getattr(meta, field)) is not None
    ]
    again = ["from the record"] if meta.duplicate else []
    app = [f"app {meta.app}"] if meta.app else []
    return ", ".join([*app, attempts, *again, *times, f"seen here {seconds * 1000:.0f} ms"])


def _show_response(console: Console, response: Response) -> None:
    console.print()
    if response.body_base64 is not None:
        size = len(response.body_base64) * 3 // 4 - response.body_base64[-2:].count("=")
        kind = response.content_type or "unknown type"
        console.print(Text(f"{size} bytes of {kind}; --json prints them as base64"))
    else:
        show_json(console, json.dumps(response.body, ensure_ascii=False))


def _fact(console: Console, name: str, value: Any) -> None:
    if value is not None:
        _line(console, (f"{name:<12}", "cyan"), str(value))


def _line(console: Console, *parts: str | tuple[str, str]) -> None:
    # What others wrote is text: brackets in it are no markup, and long lines stay whole.
    console.print(Text.assemble(*parts), soft_wrap=True)
