"""Pauses between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retry import RetryPolicy

POLICY = RetryPolicy()


def test_four_attempts_at_most() -> None:
    assert POLICY.max_attempts == 4


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 0.4), (2, 0.8), (3, 1.6), (5, 5.0), (99, 5.0)]
)
def test_the_ceiling_doubles_up_to_the_cap(attempt: int, seconds: float) -> None:
    assert POLICY.ceiling(attempt) == seconds


@given(st.integers(1, 10_000))
def test_a_delay_is_anywhere_below_its_ceiling(attempt: int) -> None:
    assert 0 <= POLICY.delay(attempt) <= POLICY.ceiling(attempt)


def test_delays_are_spread_over_the_whole_range() -> None:
    drawn = [POLICY.delay(2) for _ in range(500)]
    assert min(drawn) < 0.1
    assert max(drawn) > 0.7


@given(st.floats(0, 3600))
def test_an_advertised_wait_is_kept_and_spread_a_little(seconds: float) -> None:
    assert seconds <= POLICY.spread(seconds) <= seconds + max(0.2, seconds / 10)


def test_those_who_wait_do_not_return_together() -> None:
    assert len({POLICY.spread(1.0) for _ in range(20)}) > 10
