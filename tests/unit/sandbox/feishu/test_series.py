"""Counts second by second, and a bucket's statistics that begin anew."""

import pytest

from sandbox.feishu.limits import Bucket, WindowModel
from sandbox.feishu.series import Refusals, Refused, Series
from schemas.apis import Window


def test_only_the_last_busy_seconds_are_kept() -> None:
    series = Series(length=3)
    for second in (1, 5, 5, 6, 100):
        series.accepted(second + 0.9)
    series.rejected(100.95)
    assert series.rows() == [[5, 2, 0], [6, 1, 0], [100, 1, 1]]
    assert series.rows(60) == [[0, 3, 0], [60, 1, 1]]


def test_only_the_last_refusals_are_kept() -> None:
    refusals = Refusals(length=2)
    for number in range(5):
        refusals.add(Refused(1.0, number, "cli_a", "GET /a", "api", "", 99991400))
    assert [row["number"] for row in refusals.shown()] == [3, 4]


@pytest.mark.parametrize("model", list(WindowModel))
def test_statistics_begin_anew_and_the_window_stays_full(model: WindowModel) -> None:
    bucket = Bucket([Window(3, 10)], model)
    for at in (100.0, 101.0, 102.0, 103.0):
        bucket.admit(at, enforce=True)
    bucket.begin_anew()
    assert bucket.statistics()["most_in_window"] == {"1": 0, "10": 0, "60": 0}
    assert bucket.admit(104.0, enforce=True) is not None
    assert [bucket.admit(at, enforce=True) for at in (112.1, 112.2)] == [None, None]
    assert bucket.statistics() == {
        "accepted": 2,
        "rejected": 1,
        "most_in_window": {"1": 2, "10": 2, "60": 2},
    }


def test_watching_other_lengths_keeps_what_the_limit_counts() -> None:
    bucket = Bucket([Window(2, 10)], WindowModel.SLIDING)
    bucket.admit(100.0, enforce=True)
    bucket.watch([3, 10])
    assert bucket.admit(101.0, enforce=True) is None
    assert bucket.admit(102.0, enforce=True) is not None
    assert bucket.statistics()["most_in_window"] == {"3": 1, "10": 2}
