"""The three models of a window, exact to the request."""

from collections.abc import Iterable

import pytest

from sandbox.feishu.limits import Bucket, Rejection, WindowModel
from schemas.apis import Window

MINUTE_START = 1_800_000_000.0


def accepted(bucket: Bucket, times: Iterable[float]) -> list[bool]:
    return [bucket.admit(MINUTE_START + at, enforce=True) is None for at in times]


@pytest.mark.parametrize("model", list(WindowModel))
def test_a_window_takes_its_limit_and_no_more(model: WindowModel) -> None:
    bucket = Bucket([Window(3, 10)], model)
    assert accepted(bucket, [1, 2, 3, 4, 5]) == [True, True, True, False, False]
    assert (bucket.accepted, bucket.rejected) == (3, 2)


def test_a_sliding_window_frees_one_place_at_a_time() -> None:
    bucket = Bucket([Window(2, 10)], WindowModel.SLIDING)
    assert accepted(bucket, [0, 6, 9.9, 10, 15.9, 16]) == [True, True, False, True, False, True]


def test_an_aligned_window_is_free_at_the_clocks_multiple() -> None:
    bucket = Bucket([Window(2, 10)], WindowModel.ALIGNED)
    assert accepted(bucket, [8, 9, 9.9, 10, 11, 12, 20]) == [
        True,
        True,
        False,
        True,
        True,
        False,
        True,
    ]


def test_a_window_from_the_first_hit_is_free_when_that_is_over() -> None:
    bucket = Bucket([Window(2, 10)], WindowModel.FIRST_HIT)
    assert accepted(bucket, [8, 9, 10, 17.9, 18, 19, 20]) == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]


def test_all_windows_must_have_room_and_the_longest_wait_is_said() -> None:
    bucket = Bucket([Window(5, 60), Window(2, 1)], WindowModel.SLIDING)
    at = MINUTE_START
    assert accepted(bucket, [0, 0]) == [True, True]
    assert bucket.admit(at + 0.5, enforce=True) == Rejection(limit=2, reset=1)
    assert accepted(bucket, [1, 2, 2]) == [True, True, True]
    assert accepted(bucket, [2]) == [False]
    assert bucket.admit(at + 2.5, enforce=True) == Rejection(limit=5, reset=58)
    assert bucket.admit(at + 10, enforce=True) == Rejection(limit=5, reset=50)


@pytest.mark.parametrize("model", list(WindowModel))
def test_the_reset_time_is_rounded_up_and_enough(model: WindowModel) -> None:
    bucket = Bucket([Window(1, 60)], model)
    bucket.admit(MINUTE_START, enforce=True)
    rejection = bucket.admit(MINUTE_START + 0.3, enforce=True)
    assert rejection == Rejection(limit=1, reset=60)
    assert bucket.admit(MINUTE_START + 0.3 + rejection.reset, enforce=True) is None


def test_rejected_requests_do_not_count() -> None:
    bucket = Bucket([Window(1, 10)], WindowModel.SLIDING)
    assert accepted(bucket, [0, 5, 9, 10]) == [True, False, False, True]


@pytest.mark.parametrize("model", list(WindowModel))
def test_the_most_in_any_window_is_counted_exactly(model: WindowModel) -> None:
    bucket = Bucket([Window(100, 10)], model)
    accepted(bucket, [0, 0.2, 0.9, 1.1, 1.15, 1.19, 5, 9.99, 10, 70])
    most = {seconds: log.most for seconds, log in bucket.logs.items()}
    assert most == {1: 5, 10: 8, 60: 9}


def test_without_enforcement_everything_is_accepted_and_counted() -> None:
    bucket = Bucket([Window(1, 10)], WindowModel.SLIDING)
    for _ in range(3):
        assert bucket.admit(MINUTE_START, enforce=False) is None
    assert (bucket.accepted, bucket.logs[10].most) == (3, 3)
