from __future__ import annotations

import pickle
from typing import Any

import lark_service_client
import pytest
from lark_service_client import (
    CallFailed,
    FeishuError,
    InternalError,
    LarkError,
    NotConnected,
    Outcome,
    OutcomeUnknown,
    RateLimited,
    Reply,
    TransportError,
)
from lark_service_client.failures import BY_TYPE, failure_of

from schemas.reply import ErrorType


def failed(type_: str, **error: Any) -> Reply:
    common = {"message": "no", "retryable": False, "outcome": "not_executed"}
    return Reply.model_validate_json(
        Reply.model_validate(
            {
                "ok": False,
                "call_id": "c1",
                "response": None,
                "error": {"type": type_, **common, **error},
                "meta": {"attempts": 0, "duplicate": False},
            }
        ).model_dump_json()
    )


def every_subclass(of: type[LarkError]) -> set[type[LarkError]]:
    return {of}.union(*(every_subclass(sub) for sub in of.__subclasses__()))


def test_every_error_type_of_the_contract_has_one_class_and_no_class_is_over() -> None:
    assert {str(type_) for type_ in BY_TYPE} == {str(type_) for type_ in ErrorType}
    assert set(BY_TYPE.values()) == set(CallFailed.__subclasses__())


def test_every_error_can_be_imported_from_the_package() -> None:
    named = {
        error
        for error in every_subclass(LarkError)
        if not error.__module__.endswith("session")  # the link's own word for a refused login
    }

    assert named == {
        value
        for name in lark_service_client.__all__
        if isinstance(value := getattr(lark_service_client, name), type)
        and issubclass(value, LarkError)
    }


@pytest.mark.parametrize("type_", list(ErrorType))
def test_a_reply_becomes_the_error_of_its_type_with_the_reply_attached(type_: ErrorType) -> None:
    reply = failed(type_)

    error = failure_of(reply)

    assert error.type.value == type_.value
    assert error.reply is reply
    assert error.call_id == "c1"
    assert error.outcome == Outcome.NOT_EXECUTED
    assert not isinstance(error, TransportError)


def test_outcome_and_retryable_are_the_replys() -> None:
    unknown = failure_of(failed("outcome_unknown", outcome="unknown"))
    limited = failure_of(failed("rate_limited", retryable=True, retry_after_ms=1200))

    assert isinstance(unknown, OutcomeUnknown)
    assert (unknown.outcome, unknown.retryable) == (Outcome.UNKNOWN, False)
    assert isinstance(limited, RateLimited)
    assert (limited.retryable, limited.retry_after) == (True, 1.2)


def test_a_feishu_error_carries_feishus_code_and_tells_it() -> None:
    error = failure_of(
        failed("feishu_error", code=230002, log_id="2024x", hint="add the bot to the group")
    )

    assert isinstance(error, FeishuError)
    assert error.code == 230002
    assert str(error) == (
        "no; add the bot to the group (type feishu_error, code 230002, call c1, log id 2024x)"
    )


def test_a_reply_without_error_object_is_a_defect_of_the_gateway() -> None:
    reply = failed("internal").model_copy(update={"error": None})

    assert isinstance(failure_of(reply), InternalError)


def test_what_was_never_sent_was_not_executed_and_may_be_repeated() -> None:
    error = NotConnected("no broker", call_id="c1")

    assert (error.outcome, error.retryable) == (Outcome.NOT_EXECUTED, True)
    assert str(error) == "no broker (call c1)"


@pytest.mark.parametrize("error", [failure_of(failed("rate_limited")), NotConnected("no")])
def test_errors_cross_process_borders(error: LarkError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes

    assert type(copy) is type(error)
    assert (copy.message, copy.call_id, copy.outcome) == (
        error.message,
        error.call_id,
        error.outcome,
    )
