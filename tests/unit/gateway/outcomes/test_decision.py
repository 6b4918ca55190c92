"""Every case of the table, against the same table written down another way."""

import itertools

import pytest

from gateway.catalogue import ApiClass
from gateway.outcomes.decision import Found, State, Verdict, decide
from gateway.outcomes.protocol import Question, Recorded

SAME, OTHER = b"s" * 32, b"o" * 32
K, N = ApiClass.KEYED, ApiClass.NEITHER
YOUNG, OLD = 10.0, 3001.0


def asked(klass: ApiClass, *, redelivered: bool) -> Question:
    return Question("default", "id", klass, SAME, redelivered)


def found(
    state: State,
    *,
    lives: bool = False,
    current: bool = True,
    age: float = YOUNG,
    fingerprint: bytes = SAME,
) -> Found:
    recorded = Recorded(b"{}", None, 1, "default") if state is State.RECORDED else None
    return Found(state, fingerprint, "owner", lives, current, age, b"", recorded)


def expected(
    klass: ApiClass, state: State, *, redelivered: bool, lives: bool, current: bool, age: float
) -> Verdict:
    if state is State.RECORDED:
        return Verdict.RECORDED
    if state is not State.CONTENT and lives:
        return Verdict.RUNNING
    if klass is K:
        return Verdict.IN_DOUBT if age == OLD else Verdict.TAKE_OVER
    doubts = {
        State.STARTED: True,
        State.CLAIMED: not current,
        State.CONTENT: redelivered and not current,
    }
    return Verdict.IN_DOUBT if doubts[state] else Verdict.TAKE_OVER


_BOTH = (False, True)


@pytest.mark.parametrize("klass", [K, N], ids=["K", "N"])
@pytest.mark.parametrize("state", State, ids=lambda state: state.name.lower())
def test_every_record_has_one_verdict(klass: ApiClass, state: State) -> None:
    for redelivered, lives, current, age in itertools.product(_BOTH, _BOTH, _BOTH, (YOUNG, OLD)):
        case = (redelivered, lives, current, age)
        record = found(state, lives=lives, current=current, age=age)
        verdict = decide(asked(klass, redelivered=redelivered), record)
        assert verdict is expected(
            klass, state, redelivered=redelivered, lives=lives, current=current, age=age
        ), case
        other = found(state, lives=lives, current=current, age=age, fingerprint=OTHER)
        assert decide(asked(klass, redelivered=redelivered), other) is Verdict.REUSED


@pytest.mark.parametrize(
    ("klass", "redelivered", "verdict"),
    [
        (K, False, Verdict.CLAIM),
        (K, True, Verdict.CLAIM),
        (N, False, Verdict.CLAIM),
        (N, True, Verdict.IN_DOUBT),
    ],
)
def test_nothing_proves_nothing_of_a_redelivered_call_that_may_be_sent_once(
    klass: ApiClass, redelivered: bool, verdict: Verdict
) -> None:
    assert decide(asked(klass, redelivered=redelivered), None) is verdict


def test_the_window_of_a_key_is_the_questions_own() -> None:
    question = Question("default", "id", K, SAME, True, key_seconds=36_000)
    assert decide(question, found(State.CLAIMED, age=OLD)) is Verdict.TAKE_OVER
