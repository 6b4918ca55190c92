"""What travel times ask for."""

from __future__ import annotations

from gateway.limits.buckets import USUAL, Margins
from gateway.limits.travel import LEAST, MOST, Travel


def travelled(*seconds: float, at: float = 100.0) -> Travel:
    travel = Travel()
    for taken in seconds:
        travel.add(at - taken, at)
    return travel


def test_usual_until_enough_were_seen() -> None:
    assert travelled(*[0.02] * 19).margins == USUAL
    assert travelled(*[0.02] * 20).margins != USUAL


def test_the_slowest_counts() -> None:
    assert round(travelled(*[0.02] * 20, 0.05).margins.short, 6) == 0.05
    assert round(travelled(*[0.02] * 20, 0.5).margins.long, 6) == 0.5


def test_bounds() -> None:
    assert travelled(*[0.001] * 20).margins == Margins(LEAST, USUAL.long)
    assert travelled(*[3.0] * 20).margins == Margins(USUAL.short, MOST)


def test_a_slow_one_is_remembered_for_a_minute_and_forgotten_after_two() -> None:
    travel = travelled(*[0.02] * 20, 0.5)
    travel.add(161.0 - 0.02, 161.0)
    assert round(travel.margins.long, 6) == 0.5
    travel.add(222.0 - 0.02, 222.0)
    assert travel.margins.long == USUAL.long
