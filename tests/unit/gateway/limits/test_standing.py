"""When a process believes the store, and when it has it begin anew."""

from __future__ import annotations

from gateway.limits.local import Place
from gateway.limits.standing import Standing

BEGUN = 1_700_000_000_000_000


def standing() -> Standing:
    return Standing(assumed=4, rank=1, settle=0.6)


def test_before_the_store_was_seen_the_assumed_number_of_processes_counts() -> None:
    assert standing().place == Place(4, 1)


def test_a_falling_number_of_processes_is_believed_late() -> None:
    it = standing()
    it.count(3, 2)
    it.count(1, 0)
    assert it.place.live == 3
    for _ in range(20):
        it.count(1, 0)
    assert it.place.live == 1


def test_a_young_epoch_settles_first_and_an_old_one_does_not() -> None:
    it = standing()
    assert it.adopt(BEGUN, BEGUN + 200_000, now=50.0)
    assert 0.39 < it.settles_in(50.0) < 0.41
    assert it.settles_in(50.4) < 0.001
    other = standing()
    assert other.adopt(BEGUN, BEGUN + 5_000_000, now=50.0)
    assert other.settles_in(50.0) == 0
    assert not other.adopt(BEGUN, BEGUN + 6_000_000, now=51.0)


def test_epochs_that_follow_fast_are_as_good_as_no_store() -> None:
    it = standing()
    for step in range(12):
        now = 50.0 + step * 0.2
        it.adopt(BEGUN + step * 200_000, BEGUN + step * 200_000, now=now)
        assert it.is_lost(now) == (step > 10)
    assert not it.is_lost(53.0)
    it.adopt(BEGUN + 9_000_000, BEGUN + 9_000_000, now=54.0)
    assert not it.is_lost(54.1)


def test_another_server_or_a_restarted_one_casts_doubt_and_a_short_absence_does_not() -> None:
    it = standing()
    it.adopt(BEGUN, BEGUN, now=50.0)
    it.recognise(b"one")
    it.leave(51.0)
    it.recognise(b"one")
    assert it.is_away
    assert it.epoch_to_end(51.2) is None
    it.recognise(b"two")
    assert it.epoch_to_end(51.4) == BEGUN


def test_an_outage_of_a_second_ends_the_epoch_because_others_granted_by_themselves() -> None:
    it = standing()
    it.adopt(BEGUN, BEGUN, now=50.0)
    it.leave(51.0)
    it.leave(51.9)
    assert it.epoch_to_end(52.0) == BEGUN
    it.back()
    assert it.epoch_to_end(52.1) is None


def test_doubt_ends_with_the_epoch() -> None:
    it = standing()
    it.adopt(BEGUN, BEGUN, now=50.0)
    it.recognise(b"one")
    it.recognise(b"two")
    it.adopt(BEGUN + 1, BEGUN + 1, now=51.5)
    assert it.epoch_to_end(51.6) is None


def test_a_step_of_the_stores_clock_is_noticed_either_way() -> None:
    for step in (300_000, -300_000):
        it = standing()
        it.hear(50.0, 50.01, BEGUN)
        it.hear(50.5, 50.51, BEGUN + 500_000)
        assert not it.is_doubtful
        it.hear(51.0, 51.01, BEGUN + 1_000_000 + step)
        assert it.is_doubtful


def test_a_slow_answer_is_no_step() -> None:
    it = standing()
    it.hear(50.0, 52.0, BEGUN)
    it.hear(52.0, 52.01, BEGUN + 1_000_000)
    it.hear(52.1, 57.0, BEGUN + 4_900_000)
    it.hear(57.1, 57.2, BEGUN + 5_150_000)
    assert not it.is_doubtful


def test_all_processes_know_the_stores_clock_without_the_store() -> None:
    one, other = standing(), standing()
    one.hear(50.0, 50.02, BEGUN)
    other.hear(9050.0, 9050.02, BEGUN)
    assert abs(one.shared_clock(60.0) - other.shared_clock(9060.0)) < 0.001
