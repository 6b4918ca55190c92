"""Which member of a pool is asked, and what is said when none could."""

from __future__ import annotations

import pytest

from consumers.choice import Standing, choose, is_for_another, last_word, line_of
from gateway.errors import AttemptFailed, Expired, GatewayError, NotNow, Refused
from gateway.executor import Ended
from gateway.limits.buckets import Bucket
from schemas.apis import Window
from schemas.reply import ErrorType, Outcome


def alias(*members: Standing) -> str:
    return choose(members).alias


def test_the_shortest_line_is_chosen() -> None:
    assert alias(Standing("a", 2.0), Standing("b", 0.5), Standing("c", 1.0)) == "b"


def test_equal_members_have_it_in_turn() -> None:
    assert alias(Standing("a", 1.0, turn=7), Standing("b", 1.0, turn=5)) == "b"


def test_who_is_paused_comes_after_the_longest_line_and_who_fails_after_that() -> None:
    members = [Standing("f", 0.0, failing=True), Standing("p", 0.0, paused=True)]
    assert alias(*members, Standing("long", 100.0)) == "long"
    assert alias(*members) == "p"
    assert alias(members[0]) == "f"


def test_a_line_is_as_long_as_its_slowest_window_needs() -> None:
    slow = Bucket("b", (Window(60, 60), Window(50, 1)))
    assert line_of(slow, 10) == pytest.approx(10.0)
    assert line_of(Bucket("b", ()), 1) > 0


@pytest.mark.parametrize(
    "type_",
    [
        ErrorType.CREDENTIALS_INVALID,
        ErrorType.APP_UNAVAILABLE,
        ErrorType.IP_DENIED,
        ErrorType.QUOTA_EXHAUSTED,
        ErrorType.PERMISSION_DENIED,
        ErrorType.RATE_LIMITED,
        ErrorType.STORE_UNAVAILABLE,
        ErrorType.UNROUTED,
    ],
)
def test_what_is_wrong_with_one_app_may_go_to_another(type_: ErrorType) -> None:
    assert is_for_another(Refused(type_, "no"))
    assert is_for_another(NotNow(type_, "no"))
    for outcome in (Outcome.UNKNOWN, Outcome.EXECUTED):
        assert not is_for_another(Refused(type_, "no", outcome=outcome))


@pytest.mark.parametrize(
    "error",
    [
        None,
        Expired(),
        Refused(ErrorType.INVALID_CALL, "no"),
        Refused(ErrorType.FEISHU_ERROR, "no"),
        AttemptFailed(ErrorType.FEISHU_UNAVAILABLE, "no"),
    ],
)
def test_what_would_be_the_same_with_every_app_stays(error: GatewayError | None) -> None:
    assert not is_for_another(error)


def test_the_last_refusal_is_answered_unless_one_can_be_soon() -> None:
    no = [Ended(None, Refused(ErrorType.IP_DENIED, text)) for text in ("first", "last")]
    late, soon = (
        Ended(None, NotNow(ErrorType.RATE_LIMITED, "wait", retry_after=seconds))
        for seconds in (9.0, 2.0)
    )
    assert last_word(no) is no[1]
    assert last_word([late, soon, *no]) is soon
