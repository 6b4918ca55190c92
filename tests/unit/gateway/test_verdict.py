"""What an answer of Feishu's means for the call."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.codes import Action, CodeRow, meaning_of
from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from gateway.limits.buckets import Bucket
from gateway.retry import RetryPolicy
from gateway.verdict import BucketFull, QuotaUsedUp, TokenRejected, judge, reset_seconds
from schemas.reply import ErrorType, Outcome
from tests.support.builders import make_answer

POLICY = RetryPolicy()
LOG = {"x-tt-logid": "L"}
API = Bucket("default||POST /x", (), name="POST /x")
KINDS = ("chat", "user", "message", "table", "document", "drive", "card", "tenant")


def bucket(kind: str) -> Bucket:
    return Bucket(f"{kind}|1", (), name=kind)


def verdict(status: int = 200, document: Any = None, *kinds: str, **how: Any) -> GatewayError:
    """What an answer means for a call with the bucket of its API and these beside it."""
    buckets = (API, *(bucket(kind) for kind in kinds))
    error = judge(make_answer(status, document, **how), POLICY, buckets)
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (200, {"code": 0}),
        (200, {"code": 0, "data": {}}),
        (400, {"code": 0}),
        (500, {"code": 0}),
        (200, {"data": 1}),
        (200, [1]),
        (200, "x"),
        (201, None),
        (204, None),
        (206, None),
        (200, {"code": True}),
    ],
)
def test_code_0_and_a_2xx_without_a_code_are_a_success(status: int, document: Any) -> None:
    assert judge(make_answer(status, document), POLICY, (API,)) is None


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 418, 422])
def test_a_code_that_nobody_knows_was_executed(status: int) -> None:
    error = verdict(status, {"code": 12345, "msg": "no"}, headers=LOG)
    assert isinstance(error, Refused)
    assert (error.type, error.outcome) == (ErrorType.FEISHU_ERROR, Outcome.EXECUTED)
    assert (error.code, error.log_id) == (12345, "L")
    assert error.message.endswith(": no")


@pytest.mark.parametrize("document", [None, {"msg": "no code"}, [1], {"code": False}])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 414, 415])
def test_a_refusal_without_a_code_was_not_executed(status: int, document: Any) -> None:
    error = verdict(status, document)
    assert isinstance(error, Refused)
    assert (error.type, error.outcome) == (ErrorType.FEISHU_ERROR, Outcome.NOT_EXECUTED)
    assert error.code is None


@pytest.mark.parametrize("document", [None, {"msg": "no code"}])
@pytest.mark.parametrize(
    "status", [402, 406, 408, 409, 410, 418, 422, 451, 500, 502, 503, 504, 599]
)
def test_any_other_failure_without_a_code_may_have_been_executed(
    status: int, document: Any
) -> None:
    error = verdict(status, document)
    assert isinstance(error, AttemptFailed)
    assert (error.type, error.outcome) == (ErrorType.FEISHU_UNAVAILABLE, Outcome.UNKNOWN)


@pytest.mark.parametrize("code", [12345, 2200, 1500])
@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_5xx_may_have_been_executed_whatever_its_code(status: int, code: int) -> None:
    error = verdict(status, {"code": code})
    assert isinstance(error, AttemptFailed)
    assert (error.outcome, error.code) == (Outcome.UNKNOWN, code)


@pytest.mark.parametrize(
    ("status", "document"),
    [(429, {"code": 99991400}), (400, {"code": 99991400}), (429, None), (429, {"code": 12345})],
)
def test_a_rate_limit_is_one_in_every_form(status: int, document: Any) -> None:
    error = verdict(status, document, headers={"x-ogw-ratelimit-reset": "7"})
    assert isinstance(error, BucketFull)
    assert (error.type, error.outcome) == (ErrorType.RATE_LIMITED, Outcome.NOT_EXECUTED)
    assert 7 <= error.pause <= 7.7
    assert error.retry_after == error.pause
    assert error.bucket is API


@pytest.mark.parametrize("code", [2200, 1500, 1254002])
def test_a_429_spends_no_attempt_whatever_its_code(code: int) -> None:
    error = verdict(429, {"code": code}, "table")
    assert isinstance(error, BucketFull)
    assert (error.bucket, error.outcome) == (API, Outcome.NOT_EXECUTED)


@pytest.mark.parametrize("name", ["x-ogw-ratelimit-reset", "retry-after"])
@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (None, 1.0),
        ("", 1.0),
        ("0", 1.0),
        ("0.5", 1.0),
        ("2.5", 2.5),
        (" 7 ", 7.0),
        ("60", 60.0),
        ("3600", 60.0),
        ("-5", 1.0),
        ("soon", 1.0),
        ("1e9", 1.0),
        ("9" * 400, 1.0),
        ("Infinity", 1.0),
        ("nan", 1.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0),
    ],
)
def test_an_advertised_reset_is_believed_within_reason(
    name: str, written: str | None, seconds: float
) -> None:
    headers = {} if written is None else {name: written}
    assert reset_seconds(make_answer(429, headers=headers)) == seconds


@pytest.mark.parametrize(("reset", "seconds"), [("5", 5.0), ("0", 9.0), ("", 9.0), ("x", 9.0)])
def test_a_proxys_word_counts_where_feishu_says_nothing_usable(reset: str, seconds: float) -> None:
    headers = {"x-ogw-ratelimit-reset": reset, "retry-after": "9"}
    assert reset_seconds(make_answer(429, headers=headers)) == seconds


def test_a_used_up_quota_is_no_rate_limit() -> None:
    error = verdict(429, {"code": 99991403})
    assert isinstance(error, QuotaUsedUp)
    assert (error.type, error.row.action) == (ErrorType.QUOTA_EXHAUSTED, Action.QUOTA)


@pytest.mark.parametrize("code", [99991663, 99991664, 99991665, 99991668, 99991671])
def test_a_rejected_token_costs_no_attempt(code: int) -> None:
    assert isinstance(verdict(400, {"code": code}), TokenRejected)


def row_of(code: int) -> CodeRow:
    row = meaning_of(code)
    assert row is not None
    return row


PAUSED = {
    **dict.fromkeys([230020, 11233, 230047, 230048, 232019], ("chat", "user", "message")),
    **dict.fromkeys([1254291, 1254036], ("table",)),
    **dict.fromkeys([96002, 96201, 1066002, 1063006], ("document",)),
    1061045: ("drive",),
}
"""Codes that speak of something smaller than an API, and the buckets that they pause."""
ALL = range(3_000_000), range(99_990_000, 100_000_000)
LIMITED = [
    row.code
    for row in (meaning_of(code) for codes in ALL for code in codes)
    if row is not None and row.action in (Action.PAUSE, Action.BACK_OFF)
]


@pytest.mark.parametrize("status", [200, 400, 429])
@pytest.mark.parametrize("code", LIMITED)
def test_a_limit_pauses_what_it_speaks_of(code: int, status: int) -> None:
    for kind in KINDS:
        error = verdict(status, {"code": code}, "other", kind)
        if kind in PAUSED.get(code, ()):
            assert isinstance(error, BucketFull)
            assert error.bucket == bucket(kind)
        elif row_of(code).action is Action.PAUSE:
            assert isinstance(error, BucketFull)
            assert error.bucket is API
        else:
            assert type(error) is NotNow
        assert (error.type, error.code) == (ErrorType.RATE_LIMITED, code)
        assert error.outcome is Outcome.NOT_EXECUTED
        assert 1 <= (error.retry_after or 0) <= 1.2
        assert error.hint


def test_a_lock_that_no_bucket_protects_makes_this_call_wait_as_long_as_feishu_says() -> None:
    error = verdict(400, {"code": 1254291}, headers={"x-ogw-ratelimit-reset": "3"})
    assert type(error) is NotNow
    assert 3 <= (error.retry_after or 0) <= 3.3


def test_of_several_buckets_the_first_of_the_kind_is_paused() -> None:
    error = verdict(400, {"code": 230020}, "table", "message", "chat")
    assert isinstance(error, BucketFull)
    assert error.bucket == bucket("message")


@pytest.mark.parametrize(
    ("code", "type_"),
    [
        (99991401, ErrorType.IP_DENIED),
        (99991662, ErrorType.APP_UNAVAILABLE),
        (99991672, ErrorType.PERMISSION_DENIED),
        (99991679, ErrorType.PERMISSION_DENIED),
    ],
)
def test_a_known_refusal_says_what_to_do(code: int, type_: ErrorType) -> None:
    error = verdict(400, {"code": code})
    assert isinstance(error, Refused)
    assert (error.type, error.outcome) == (type_, Outcome.NOT_EXECUTED)
    assert error.hint


@pytest.mark.parametrize("status", [200, 302, 500])
@pytest.mark.parametrize("document", [None, {"code": 0}])
def test_an_answer_with_a_flaw_is_final_and_of_unknown_outcome(status: int, document: Any) -> None:
    error = verdict(status, document, flaw="a redirect", headers=LOG)
    assert isinstance(error, Refused)
    assert (error.type, error.outcome) == (ErrorType.BAD_RESPONSE, Outcome.UNKNOWN)
    assert (error.message, error.log_id) == ("a redirect", "L")
