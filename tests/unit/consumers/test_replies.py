"""The bytes and the properties of a reply."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from consumers.codec import address_of
from consumers.replies import (
    Timing,
    error_in,
    error_of,
    reply_body,
    reply_properties,
    said_of,
)
from gateway.errors import Refused
from gateway.redaction import Redactor
from schemas.reply import ErrorType, Outcome, Reply
from tests.support.builders import make_answer, make_delivery

REDACTOR = Redactor()
KEYS = {"ok", "call_id", "response", "error", "meta"}


def reply(**changes: Any) -> dict[str, Any]:
    given = {"answer": None, "error": None, "attempts": 0, "app": None}
    said = said_of(**{name: changes.pop(name, default) for name, default in given.items()})
    document = orjson.loads(reply_body(**{"call_id": "c", "said": said, **changes}))
    Reply.model_validate(document)
    assert isinstance(document, dict)
    return document


def test_the_five_keys_are_always_there() -> None:
    assert set(reply()) == set(reply(call_id=None, answer=make_answer(200, {}))) == KEYS


def test_what_is_not_known_is_left_out_of_meta() -> None:
    assert reply()["meta"] == {"attempts": 0, "duplicate": False}
    assert reply(app="a", api="GET /x", attempts=2, timing=Timing(1, 2, 3, 6))["meta"] == {
        "app": "a",
        "api": "GET /x",
        "attempts": 2,
        "duplicate": False,
        "queue_ms": 1,
        "limit_wait_ms": 2,
        "upstream_ms": 3,
        "total_ms": 6,
    }


def test_feishus_json_is_put_in_as_it_came() -> None:
    body = b'{ "code" : 0, "big": 123456789012345678901234567890, "a": 1, "a": 2 }'
    answer = make_answer(document={"code": 0}, body=body, headers={"x-tt-logid": "L"})
    said = said_of(answer, None, attempts=1, app="a")
    assert b'"body":' + body in reply_body(call_id="c", said=said)
    assert reply(answer=answer, log_id="L")["meta"]["log_id"] == "L"


def test_what_was_said_is_said_again_as_it_was() -> None:
    limited = Refused(ErrorType.FEISHU_ERROR, "no", retry_after=1.234, code=7, log_id="L", hint="h")
    for error in (
        None,
        error_of(limited, REDACTOR),
        error_of(Refused(ErrorType.FORBIDDEN, "x"), REDACTOR),
    ):
        said = said_of(make_answer(document={"code": 7}), error, attempts=2, app="a")
        again = error_in(said)
        told = None if again is None else error_of(again, REDACTOR)
        assert said_of(make_answer(document={"code": 7}), told, attempts=2, app="a") == said
        once, twice = (reply_body(call_id="c", said=said, duplicate=yes) for yes in (False, True))
        assert orjson.loads(once)["meta"].pop("duplicate") is False
        assert once.replace(b'"duplicate":false', b'"duplicate":true') == twice


def test_what_is_no_json_comes_as_base64_with_its_type() -> None:
    response = reply(answer=make_answer(200, body=b"\xff\x00", content_type="image/png"))[
        "response"
    ]
    assert base64.b64decode(response.pop("body_base64")) == b"\xff\x00"
    assert response == {"status": 200, "headers": {}, "body": None, "content_type": "image/png"}


def test_a_body_that_was_not_read_is_null() -> None:
    unread = make_answer(200, body=None, content_type="application/json", flaw="too large")
    assert reply(answer=unread)["response"] == {"status": 200, "headers": {}, "body": None}


def test_an_error_holds_what_is_known_of_it() -> None:
    told = error_of(Refused(ErrorType.FORBIDDEN, "no"), REDACTOR)
    assert reply(error=told)["error"] == {
        "type": "forbidden",
        "message": "no",
        "retryable": False,
        "outcome": "not_executed",
    }
    limited = Refused(
        ErrorType.RATE_LIMITED, "wait", retry_after=1.2344, code=7, log_id="L", hint="h"
    )
    assert reply(error=error_of(limited, REDACTOR))["error"] == {
        "type": "rate_limited",
        "message": "wait",
        "retryable": True,
        "outcome": "not_executed",
        "retry_after_ms": 1234,
        "code": 7,
        "log_id": "L",
        "hint": "h",
    }
    assert reply(error=told)["ok"] is False


def test_the_answers_log_id_serves_where_the_error_has_none() -> None:
    assert error_of(Refused(ErrorType.FORBIDDEN, "no"), REDACTOR, "L").log_id == "L"
    assert error_of(Refused(ErrorType.FORBIDDEN, "no", log_id="E"), REDACTOR, "L").log_id == "E"


def test_a_wait_is_never_negative() -> None:
    assert (
        error_of(Refused(ErrorType.RATE_LIMITED, "x", retry_after=-1.0), REDACTOR).retry_after_ms
        == 0
    )


@pytest.mark.parametrize("type_", ErrorType)
def test_what_may_be_published_again(type_: ErrorType) -> None:
    retryable = {
        *("rate_limited", "circuit_open", "deadline_exceeded", "store_unavailable"),
        *("feishu_unavailable", "timeout"),
    }
    told = error_of(Refused(type_, "x", outcome=Outcome.UNKNOWN), REDACTOR)
    assert told.retryable is (type_ in retryable)


@pytest.mark.parametrize(("ok", "status"), [(True, "ok"), (False, "error")])
def test_the_properties_of_a_reply(ok: bool, status: str) -> None:
    address = address_of(
        make_delivery(
            message_id="c",
            correlation_id="k",
            headers={"traceparent": "t", "tracestate": "s", "other": "x", "lark-deadline": 1},
        )
    )
    assert reply_properties(address, ok=ok) == {
        "correlation_id": "k",
        "content_type": "application/json",
        "message_type": "lark.reply.v1",
        "headers": {
            "lark-call-id": "c",
            "lark-status": status,
            "traceparent": "t",
            "tracestate": "s",
        },
    }


def test_a_reply_without_a_call_id_names_none() -> None:
    properties = reply_properties(address_of(make_delivery(message_id="a b")), ok=False)
    assert properties["headers"] == {"lark-status": "error"}
    assert properties["correlation_id"] is None


def test_no_secret_that_a_sentence_quotes_gets_into_an_error() -> None:
    redactor = Redactor()
    redactor.learn("hunter22")
    quoted = Refused(ErrorType.INTERNAL, "no hunter22", hint="Bearer t-1 and hunter22")
    told = error_of(quoted, redactor)
    assert (told.message, told.hint) == ("no ********", "Bearer ******** and ********")
