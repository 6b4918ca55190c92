"""What follows a failed attempt, and after which pause."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PROVEN_UNSENT, Cause
from gateway.retry import CLASSES, FAILURES, RETRIES, RetryPolicy, Step, next_step, step_of, table
from tests.support.builders import make_job

POLICY = RetryPolicy()
REPEAT, ANSWER, UNKNOWN = Step.REPEAT, Step.ANSWER, Step.UNKNOWN
ALWAYS_REPEATED = dict.fromkeys(RETRIES, REPEAT)
BY_CLASS = {
    "R": {"safe": REPEAT, "never": ANSWER, "always": REPEAT},
    "I": {"safe": REPEAT, "never": ANSWER, "always": REPEAT},
    "K": {"safe": REPEAT, "never": ANSWER, "always": REPEAT},
    "N": {"safe": UNKNOWN, "never": UNKNOWN, "always": REPEAT},
}
EXPECTED = {
    Cause.UNREACHABLE: dict.fromkeys(CLASSES, ALWAYS_REPEATED),
    Cause.UNSENT: dict.fromkeys(CLASSES, ALWAYS_REPEATED),
    Cause.CUT: BY_CLASS,
    Cause.TIMEOUT: BY_CLASS,
    Cause.TRUNCATED: BY_CLASS,
    Cause.SERVER_ERROR: BY_CLASS,
    Cause.INTERNAL_CODE: BY_CLASS,
}
DOCS = Path(__file__).parents[3] / "docs"
IN_CHINESE = {"yes": "是", "no": "否", "repeat": "重试", "answer": "回复"}
ROWS = [(cause, klass, retry) for cause in Cause for klass in CLASSES for retry in RETRIES]


@pytest.mark.parametrize(("cause", "klass", "retry"), ROWS)
def test_what_follows_a_failure(cause: Cause, klass: str, retry: str) -> None:
    assert step_of(cause, klass, retry) is EXPECTED[cause][klass][retry]


@pytest.mark.parametrize("klass", CLASSES)
@pytest.mark.parametrize("retry", RETRIES)
@pytest.mark.parametrize("cause", list(Cause))
def test_a_job_is_treated_as_its_class_and_its_producer_say(
    cause: Cause, klass: str, retry: str
) -> None:
    job = make_job(klass, retry=retry)
    unsent = cause in PROVEN_UNSENT
    step = next_step(unsent=unsent, harmless=job.harmless, once=job.once)
    assert step is step_of(cause, klass, retry)


def test_what_proves_that_nothing_was_executed_is_said_in_one_way() -> None:
    assert {cause for cause, failure in FAILURES.items() if failure.unsent} == PROVEN_UNSENT
    assert set(FAILURES) == set(Cause)


def test_the_page_shows_the_table() -> None:
    assert table() in (DOCS / "retries.md").read_text(encoding="utf-8")


def test_the_chinese_page_says_the_same() -> None:
    text = (DOCS / "zh-CN" / "retries.md").read_text(encoding="utf-8")
    for line in table().splitlines()[2:]:
        cells = line.split(" | ")[1:]
        assert " | ".join([IN_CHINESE.get(cell.strip(" |"), cell) for cell in cells[:-1]]) in text


def test_four_attempts_at_most() -> None:
    assert POLICY.max_attempts == 4


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 0.2), (2, 0.4), (3, 0.8), (6, 5.0), (99, 5.0)]
)
def test_the_ceiling_doubles_up_to_the_cap(attempt: int, seconds: float) -> None:
    assert POLICY.ceiling(attempt) == seconds


@given(st.integers(1, 10_000))
def test_a_delay_is_anywhere_below_its_ceiling(attempt: int) -> None:
    assert 0 <= POLICY.delay(attempt) <= POLICY.ceiling(attempt)


def test_delays_are_spread_over_the_whole_range() -> None:
    drawn = [POLICY.delay(2) for _ in range(500)]
    assert min(drawn) < 0.05
    assert max(drawn) > 0.35


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 60), (3, 300), (9, 300)])
def test_where_nobody_waits_repeats_take_their_time(attempt: int, seconds: float) -> None:
    assert POLICY.unattended_delay(attempt) == seconds


@given(st.floats(0, 3600))
def test_an_advertised_wait_is_kept_and_spread_a_little(seconds: float) -> None:
    assert seconds <= POLICY.spread(seconds) <= seconds + max(0.2, seconds / 10)


def test_those_who_wait_do_not_return_together() -> None:
    assert len({POLICY.spread(1.0) for _ in range(20)}) > 10
