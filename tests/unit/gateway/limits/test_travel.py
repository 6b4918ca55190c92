"""What travel times ask for."""

from __future__ import annotations

import pytest

from gateway.limits.buckets import USUAL, Margins
from gateway.limits.travel import ENOUGH, LEAST, MOST, MOST_SHORT, Travel


def travelled(*seconds: float, at: float = 100.0) -> Travel:
    travel = Travel()
    for taken in seconds:
        travel.add(at - taken, at)
    return travel


def margins(travel: Travel, at: float = 100.0) -> Margins:
    found = travel.margins(at)
    assert found is not None
    return found


def test_nothing_until_enough_were_seen() -> None:
    assert travelled(*[0.02] * (ENOUGH - 1)).margins(100.0) is None
    assert margins(travelled(*[0.02] * ENOUGH)) == Margins(LEAST, USUAL.long)


def test_what_they_differ_counts_and_not_how_long_they_take() -> None:
    assert margins(travelled(*[0.5] * ENOUGH, 0.55)).short == pytest.approx(0.075)
    assert margins(travelled(*[0.02] * ENOUGH, 0.42)).long == pytest.approx(0.4)
    assert margins(travelled(*[0.42] * ENOUGH, 0.02)).long == pytest.approx(0.4)


def test_bounds() -> None:
    assert margins(travelled(*[0.5] * ENOUGH)) == Margins(LEAST, USUAL.long)
    assert margins(travelled(*[0.01] * ENOUGH, 3.0)) == Margins(MOST_SHORT, MOST)


def test_a_slow_one_is_remembered_for_a_minute_and_forgotten_after_two() -> None:
    travel = travelled(*[0.02] * ENOUGH, 0.42)
    for at in (161.0, 219.0):
        travel.add(at - 0.02, at)
        assert margins(travel).long == pytest.approx(0.4)
    travel.add(222.0 - 0.02, 222.0)
    assert margins(travel).long == USUAL.long


def test_a_short_window_forgets_it_after_forty_seconds() -> None:
    travel = travelled(*[0.02] * ENOUGH, 0.06)
    travel.add(121.0 - 0.02, 121.0)
    assert margins(travel).short == pytest.approx(0.06)
    travel.add(142.0 - 0.02, 142.0)
    assert margins(travel).short == LEAST


def test_after_a_long_silence_nothing_of_before_counts() -> None:
    travel = travelled(*[0.02] * ENOUGH, 0.09)
    travel.add(200.0 - 0.02, 200.0)
    assert margins(travel).short == LEAST


def test_what_was_seen_tells_nothing_of_a_time_long_after() -> None:
    assert travelled(*[0.02] * ENOUGH).margins(139.0) is not None
    assert travelled(*[0.02] * ENOUGH).margins(141.0) is None
