"""What a grant is good for, and what a failed refresh means for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from gateway.tokens.grant_rows import Grant
from gateway.tokens.grant_verdict import (
    GONE,
    LONGEST_SECONDS,
    REFUSED_SECONDS,
    refusal_of,
    usable,
    verdict_of,
)
from gateway.tokens.oauth import MaybeSpent
from gateway.tokens.token import Credential, Holder, Token
from schemas.reply import ErrorType
from tests.support.builders import APP

GRANT = Grant(
    access_token="access",
    access_seconds=3600.0,
    refresh_token="refresh",
    refresh_print=b"print",
    refresh_seconds=600_000.0,
    scope="",
    state="active",
    failure=None,
    failures=0,
    fence=3,
    leased=0.0,
    resting=0.0,
    doubtful=False,
    life=7200.0,
    age=3600.0,
)
CREDENTIAL = Credential.of(APP, Holder("user", "ou_1"))


def held(value: str) -> Token:
    return Token(value, CREDENTIAL, 0.0, 7200.0)


@pytest.mark.parametrize(
    ("changes", "than", "given"),
    [
        ({}, None, True),
        ({}, "another", True),
        ({}, "access", False),
        ({"access_token": None}, None, False),
        ({"access_seconds": 60.0}, None, False),
        ({"access_seconds": 61.0}, None, True),
        ({"access_seconds": 0.5, "life": 4.0, "age": 3.5}, None, True),
        ({"access_seconds": 0.4, "life": 4.0, "age": 3.6}, None, False),
        ({"access_seconds": 7141.0, "age": 59.0}, "access", True),
        ({"access_seconds": 7139.0, "age": 61.0}, "access", False),
        ({"access_seconds": 7199.0, "life": None, "age": None}, "access", False),
    ],
)
def test_a_token_is_given_that_lives_and_is_another_or_fresh(
    changes: dict[str, Any], than: str | None, given: bool
) -> None:
    issued = usable(replace(GRANT, **changes), None if than is None else held(than))
    assert (issued is not None) is given


def test_a_renewal_is_no_rejection_of_a_fresh_token() -> None:
    for life in (4.0, 600.0, 7200.0):
        token = Token("access", CREDENTIAL, 0.0, life)
        earliest = token.renew_at(0.999)
        grant = replace(GRANT, life=life, age=earliest, access_seconds=life - earliest)
        assert usable(grant, token) is None


def test_a_grant_that_is_gone_says_why_and_one_that_rests_says_until_when() -> None:
    why = Refused(ErrorType.REAUTH_REQUIRED, "gone", code=20064)
    assert refusal_of(replace(GRANT, state="reauth_required", failure=why)) is why
    assert refusal_of(GRANT) is None
    assert refusal_of(replace(GRANT, state="refreshing")) is None
    failed = AttemptFailed(ErrorType.FEISHU_UNAVAILABLE, "no answer")
    assert refusal_of(replace(GRANT, failure=failed)) is None
    secret = Refused(ErrorType.CREDENTIALS_INVALID, "wrong secret")
    assert refusal_of(replace(GRANT, failure=secret, resting=2.0)) is secret
    for failure in (failed, None):
        rests = refusal_of(replace(GRANT, failure=failure, resting=2.0))
        assert isinstance(rests, NotNow)
        assert rests.retry_after == 2.0


@pytest.mark.parametrize("code", sorted(GONE))
def test_these_codes_end_a_grant(code: int) -> None:
    error = Refused(ErrorType.REAUTH_REQUIRED, "said so", code=code, log_id="log-1")
    verdict = verdict_of(GRANT, error, 0.5)
    assert verdict.gone
    assert (verdict.error.type, verdict.error.code) == (ErrorType.REAUTH_REQUIRED, code)
    assert verdict.error.log_id == "log-1"
    assert "lost" not in verdict.error.message
    lost = verdict_of(replace(GRANT, doubtful=True), error, 0.5)
    assert "the answer to an earlier refresh was lost" in lost.error.message


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Refused(ErrorType.CREDENTIALS_INVALID, "secret", code=20002), REFUSED_SECONDS),
        (Refused(ErrorType.REAUTH_REQUIRED, "refreshing is off", code=20074), REFUSED_SECONDS),
        (AttemptFailed(ErrorType.FEISHU_UNAVAILABLE, "down", code=20050), 1.0),
        (MaybeSpent(ErrorType.FEISHU_UNAVAILABLE, "no answer"), 1.0),
        (NotNow(ErrorType.RATE_LIMITED, "limited", retry_after=30.0), 30.0),
    ],
)
def test_everything_else_leaves_the_grant_and_waits(error: GatewayError, seconds: float) -> None:
    verdict = verdict_of(GRANT, error, 1.0)
    assert not verdict.gone
    assert verdict.seconds == seconds
    assert verdict_of(GRANT, error, 0.0).seconds >= seconds / 2


def test_waits_grow_up_to_a_bound() -> None:
    error = AttemptFailed(ErrorType.FEISHU_UNAVAILABLE, "down", code=20050)
    waits = [verdict_of(replace(GRANT, failures=n), error, 1.0).seconds for n in range(40)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_SECONDS


def test_a_doubt_stays_until_a_pair_is_written() -> None:
    said_so = AttemptFailed(ErrorType.FEISHU_UNAVAILABLE, "down", code=20050)
    assert not verdict_of(GRANT, said_so, 0.5).spent
    assert verdict_of(replace(GRANT, doubtful=True), said_so, 0.5).spent
    assert verdict_of(GRANT, MaybeSpent(ErrorType.FEISHU_UNAVAILABLE, "cut"), 0.5).spent
