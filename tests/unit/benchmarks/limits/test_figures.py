"""What requests come to: rates, windows, fairness."""

from __future__ import annotations

import math

import pytest

from benchmarks.limits.figures import (
    Sends,
    canaries,
    fair_shares,
    full_windows,
    jain,
    most_in,
    per_minute,
    quantile,
)


def entry(time: float, status: int = 200, code: int = 0) -> dict[str, float]:
    return {"time": time, "status": status, "code": code}


def test_a_rejection_is_known_by_its_status_or_by_its_code() -> None:
    entries = [entry(3), entry(1, 429, 0), entry(2, 400, 99991400), entry(0, 400, 230020)]

    sends = Sends.of(entries)

    assert (sends.accepted, sends.rejected) == ([3], [0, 1, 2])
    assert sends.all == [0, 1, 2, 3]
    assert sends.rejected_per_10k == 7500


def test_nothing_sent_is_nothing_rejected() -> None:
    assert Sends((), ()).rejected_per_10k == 0


def test_only_windows_that_are_over_count() -> None:
    times = [10.0, 10.5, 70.0, 130.0, 130.1]

    assert full_windows(times, 60, until=131) == [2, 1]
    assert full_windows(times, 60, until=69) == []
    assert full_windows([], 60, until=100) == []


def test_full_windows_come_to_a_rate() -> None:
    assert per_minute([100, 98], 6) == pytest.approx(990)
    assert per_minute([], 60) == 0


@pytest.mark.parametrize(
    ("after", "most"),
    [
        pytest.param(-math.inf, 3, id="the whole run"),
        pytest.param(0.5, 2, id="windows that begin later"),
        pytest.param(9, 0, id="none begins so late"),
    ],
)
def test_the_fullest_window_is_half_open(after: float, most: int) -> None:
    assert most_in([0.0, 0.4, 0.9, 1.0, 5.0], 1, after) == most


def test_quantiles_are_of_the_nearest_rank() -> None:
    assert quantile(range(1, 101), 0.99) == 99
    assert quantile([3, 1, 2], 0.5) == 2
    assert math.isnan(quantile([], 0.5))


def test_fair_shares_part_what_the_small_leave() -> None:
    assert fair_shares([1.0, 1000.0, 1.0], 50) == [1, 48, 1]
    assert fair_shares([40.0, 40.0], 50) == [25, 25]


def test_jains_index_falls_when_one_starves() -> None:
    assert jain([1, 1, 1, 1]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([0, 0]) == 0


def test_a_canary_is_what_is_sent_before_the_first_answer() -> None:
    times = [0.0, 3.1, 3.35, 3.4]

    assert canaries(times, opened=3, answer_seconds=0.2) == 1
    assert canaries(times, opened=3, answer_seconds=0.28) == 2
    assert canaries(times, opened=9, answer_seconds=1) == 0
