"""What counts as late."""

from __future__ import annotations

import pytest

from consumers.congestion import PERIOD, Pace


def test_the_fastest_is_not_late_and_others_by_what_they_took_longer() -> None:
    pace = Pace(lambda: 0.0)
    assert [pace.lateness(taken) for taken in (0.004, 0.002, 0.010)] == [
        0.0,
        0.0,
        pytest.approx(0.008),
    ]


def test_what_was_possible_long_ago_is_forgotten() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    pace.lateness(0.002)
    now = PERIOD + 1
    assert pace.lateness(0.010) == pytest.approx(0.008)
    now = 2 * PERIOD + 3
    assert pace.lateness(0.012) == pytest.approx(0.002)
