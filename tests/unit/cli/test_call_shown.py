"""How a reply reads, and how the command then ends."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.call.command import exit_code
from cli.call.shown import show_reply
from schemas.reply import ErrorType, Reply

META = {"attempts": 1, "duplicate": False, "app": "default", "queue_ms": 3, "total_ms": 90}


def told(**fields: Any) -> str:
    document = {"ok": False, "call_id": "c-1", "response": None, "error": None, "meta": META}
    out = StringIO()
    reply = Reply.model_validate(document | fields)
    show_reply(Console(file=out, width=80), reply, 0.1)
    return out.getvalue()


def failed(**fields: Any) -> dict[str, Any]:
    error = {"type": "rate_limited", "message": "no slot", "retryable": True}
    return error | {"outcome": "not_executed"} | fields


def test_a_success_shows_status_times_and_body() -> None:
    text = told(ok=True, response={"status": 200, "body": {"code": 0, "msg": "成功"}})

    assert text.startswith("ok  HTTP 200")
    assert "app default, 1 attempt, queue 3 ms, total 90 ms, seen here 100 ms" in text
    assert '"msg": "成功"' in text


def test_an_error_shows_type_reason_code_and_what_to_do() -> None:
    error = failed(code=99991400, hint="wait", retry_after_ms=1200, log_id="L1")

    text = told(error=error, meta=META | {"attempts": 0})

    assert text.startswith("error  rate_limited  Feishu was not asked")
    for fact in ("no slot", "99991400", "wait", "1.2 s", "L1", "c-1", "may be made again"):
        assert fact in text


def test_text_of_others_is_no_markup() -> None:
    text = told(error=failed(message="[bold]x[/bold] [/]"))

    assert "[bold]x[/bold] [/]" in text


def test_bytes_are_counted_and_not_shown() -> None:
    download = {"status": 200, "body_base64": "AAECAw==", "content_type": "image/png"}

    text = told(ok=True, response=download)

    assert "4 bytes of image/png" in text
    assert "AAEC" not in text


@pytest.mark.parametrize(
    ("type_", "code"),
    [
        (ErrorType.INVALID_CALL, 2),
        (ErrorType.UNROUTED, 2),
        (ErrorType.CREDENTIALS_INVALID, 3),
        (ErrorType.APP_UNAVAILABLE, 3),
        (ErrorType.REAUTH_REQUIRED, 3),
        (ErrorType.INTERNAL, 5),
        (ErrorType.FEISHU_ERROR, 1),
        (ErrorType.RATE_LIMITED, 1),
    ],
)
def test_the_exit_code_says_who_must_act(type_: ErrorType, code: int) -> None:
    assert exit_code(type_) == code
