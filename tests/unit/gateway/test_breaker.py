"""One breaker, its counts and the pace after it closed, by a clock that the tests turn."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.breaker import (
    FASTER,
    LOOK_AGAIN,
    PAUSE_SPREAD,
    QUIET_SECONDS,
    SLOWEST_RATE,
    Breaker,
    Count,
    Pace,
    State,
    Tally,
)

OPEN, HALF_OPEN, CLOSED = State.OPEN, State.HALF_OPEN, State.CLOSED


def steady(jitter: float = 0.0) -> Breaker:
    return Breaker(lambda: jitter)


def tripped() -> Breaker:
    breaker = steady()
    breaker.trip(100.0)
    return breaker


def probe(breaker: Breaker, now: float, healthy: bool | None) -> bool:
    assert breaker.wait(now) == 0
    return breaker.ended(breaker.take(now), healthy, now)


@pytest.mark.parametrize(
    ("total", "failed", "is_failing"),
    [(19, 19, False), (20, 9, False), (20, 10, True), (21, 10, False), (1000, 500, True)],
)
def test_half_of_twenty_is_failing(total: int, failed: int, is_failing: bool) -> None:
    assert Count(total, failed).is_failing(20) is is_failing


def test_what_is_older_than_the_window_does_not_count() -> None:
    tally = Tally()
    for second in range(40):
        tally.add(float(second), failed=second < 20)
    count = tally.count(39.0)
    assert (count.total, count.failed) == (30, 10)
    count = tally.count(200.0)
    assert (count.total, count.failed) == (0, 0)


def test_what_is_usual_outlives_half_a_minute_without_answers() -> None:
    tally = Tally()
    for tick in range(600):
        tally.add(tick / 10, failed=False)
    assert tally.count(60.0).usual == pytest.approx(10, rel=0.1)
    tally.add(91.0, failed=True)
    count = tally.count(91.0)
    assert (count.total, count.failed) == (1, 1)
    assert 8 < count.usual < 10
    assert tally.count(1000.0).usual < 0.1


def test_it_lets_everything_through_until_it_is_tripped() -> None:
    breaker = steady()
    assert (breaker.state(0.0), breaker.wait(0.0), breaker.take(0.0)) == (CLOSED, 0.0, 0)
    breaker.trip(0.0)
    assert (breaker.state(0.0), breaker.wait(1.0)) == (OPEN, 4.0)


def test_pauses_double_up_to_a_minute_with_every_failed_probe() -> None:
    breaker, now, pauses = tripped(), 100.0, []
    for _ in range(6):
        pauses.append(breaker.wait(now))
        now += breaker.wait(now)
        assert breaker.state(now) is HALF_OPEN
        assert not probe(breaker, now, healthy=False)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


@pytest.mark.parametrize("jitter", [-1.0, 1.0])
def test_pauses_are_spread(jitter: float) -> None:
    breaker = steady(jitter)
    breaker.trip(0.0)
    assert breaker.wait(0.0) == pytest.approx(5.0 * (1 + PAUSE_SPREAD * jitter))


def test_three_probes_one_by_one_close_it() -> None:
    breaker = tripped()
    for healthy in (True, None, True):
        assert not probe(breaker, 105.0, healthy)
        assert breaker.state(105.0) is HALF_OPEN
    ticket = breaker.take(105.0)
    assert breaker.wait(106.0) == LOOK_AGAIN
    assert breaker.ended(ticket, True, 106.0)
    assert (breaker.state(106.0), breaker.wait(106.0)) == (CLOSED, 0.0)
    # Afterwards it begins with a short pause again.
    breaker.trip(107.0)
    assert breaker.wait(107.0) == 5.0


def test_a_success_before_a_failure_does_not_count() -> None:
    breaker = tripped()
    probe(breaker, 105.0, healthy=True)
    probe(breaker, 105.0, healthy=True)
    probe(breaker, 105.0, healthy=False)
    assert not probe(breaker, 115.0, healthy=True)


def test_a_place_that_was_offered_is_kept_for_a_second() -> None:
    breaker = tripped()
    breaker.offer(105.0)
    assert breaker.wait(105.5, at_turn=False) == LOOK_AGAIN
    assert breaker.wait(105.5) == 0
    assert breaker.wait(106.0, at_turn=False) == 0


def test_the_end_of_a_call_from_before_says_nothing() -> None:
    breaker = tripped()
    old = breaker.take(105.0)
    breaker.ended(old, False, 106.0)
    fresh = breaker.take(116.0)
    assert not breaker.ended(old, False, 117.0)
    assert not breaker.ended(0, False, 117.0)
    breaker.ended(fresh, True, 117.0)
    assert breaker.state(117.0) is HALF_OPEN


class Machine(RuleBasedStateMachine):
    """Calls come and end in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = steady()
        self.now = 0.0
        self.under_way: list[int] = []
        self.in_a_row = 0
        self.opened_at = 0.0

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.state(self.now) is CLOSED)
    @rule()
    def trip(self) -> None:
        self.breaker.trip(self.now)
        self.opened_at, self.in_a_row = self.now, 0

    @precondition(lambda self: self.breaker.wait(self.now) == 0)
    @rule()
    def begin(self) -> None:
        ticket = self.breaker.take(self.now)
        assert (ticket == 0) == (self.breaker.state(self.now) is CLOSED)
        if ticket:
            self.under_way.append(ticket)

    @precondition(lambda self: self.under_way)
    @rule(healthy=st.sampled_from([True, True, False, None]))
    def end(self, healthy: bool | None) -> None:
        ticket = self.under_way.pop()
        closed = self.breaker.ended(ticket, healthy, self.now)
        if healthy is False:
            assert self.breaker.state(self.now) is OPEN
            self.opened_at, self.in_a_row = self.now, 0
        self.in_a_row += healthy is True
        assert closed == (healthy is True and self.in_a_row == 3)

    @invariant()
    def one_probe_at_a_time(self) -> None:
        assert len(self.under_way) <= 1
        assert not self.under_way or self.breaker.wait(self.now) > 0

    @invariant()
    def it_never_stays_open_for_more_than_a_minute(self) -> None:
        if self.breaker.state(self.now) is OPEN:
            assert self.now - self.opened_at <= 60
            assert 0 < self.breaker.wait(self.now) <= 60


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


@given(st.floats(0, 500), st.integers(1, 400))
def test_those_who_go_on_are_less_than_twice_as_fast_as_usual(usual: float, want: int) -> None:
    pace = Pace(usual, 0.0)
    went = [pace.take(want, tick / 50) for tick in range(100)]
    allowed = max(SLOWEST_RATE, FASTER * usual)
    for start, end in itertools.combinations(range(0, 100, 10), 2):
        most = allowed * ((end - start) / 50 + 0.1) + 1
        assert sum(went[start:end]) <= most


def test_a_pace_that_holds_nobody_up_is_over() -> None:
    pace = Pace(100.0, 0.0)
    assert pace.take(1000, 0.0) == 1
    assert not pace.is_over(QUIET_SECONDS - 0.1)
    assert pace.take(1, 4.0) == 1
    assert pace.is_over(QUIET_SECONDS)


def test_what_was_usual_does_not_hold_anybody_up_for_ever() -> None:
    pace = Pace(100.0, 0.0)
    assert pace.take(10_000, 10.0) == 18
    assert pace.take(10_000, 31.0) == 36
