"""The ledger: what a process was granted lately, and whether the store knows."""

from __future__ import annotations

import pytest

from gateway.limits.buckets import Bucket
from gateway.limits.ledger import Ledger, ages
from schemas.apis import Window

BUCKET = Bucket("b", (Window(10, 1),))
GRAIN = 1.1 / 50


def test_grants_count_for_as_long_as_asked_and_never_shorter() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 3, None)
    ledger.add(100.5, 4, None)
    assert ledger.used(100.5, 1.0) == 7
    assert ledger.used(100.999, 1.0) == 7
    assert ledger.used(101.0 + GRAIN, 1.0) == 4
    assert ledger.used(101.5 + GRAIN, 1.0) == 0


def test_it_says_when_a_limit_opens_again() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 3, None)
    ledger.add(100.5, 4, None)
    assert ledger.opens(100.5, 1.0, 8) == 0
    assert ledger.opens(100.5, 1.0, 7) == pytest.approx(0.5, abs=GRAIN)
    assert ledger.opens(100.5, 1.0, 3) == pytest.approx(1.0, abs=GRAIN)


def test_grants_of_one_moment_share_an_entry() -> None:
    ledger = Ledger(BUCKET)
    for number in range(1000):
        ledger.add(100.0 + number / 10_000, 1, 7)
    assert len(ledger.unreported(100.1, 8)) <= 6
    assert ledger.used(100.1, 1.0) == 1000


def test_what_another_epoch_was_told_is_told_again() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 3, 7)
    ledger.add(100.5, 4, None)
    assert [entry.permits for entry in ledger.unreported(100.5, 7)] == [4]
    assert [permits for _, permits in ages(ledger.unreported(100.5, 8), 100.5)] == [3, 4]
    ledger.mark(8)
    assert ledger.unreported(100.5, 8) == []


def test_a_grant_after_the_report_is_not_hidden_by_it() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 3, None)
    ledger.mark(8)
    ledger.add(100.0, 2, None)
    assert [entry.permits for entry in ledger.unreported(100.0, 8)] == [2]


def test_a_pause_is_lengthened_but_never_shortened_and_told_once_an_epoch() -> None:
    ledger = Ledger(BUCKET)
    ledger.pause(110.0, None)
    ledger.pause(105.0, None)
    assert ledger.paused_until == 110.0
    assert ledger.unreported_pause(100.0, 7) == 10.0
    ledger.mark(7)
    assert ledger.unreported_pause(100.0, 7) == 0.0
    assert ledger.unreported_pause(100.0, 8) == 10.0


def test_it_is_idle_when_no_window_counts_anything_and_no_pause_is_on() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 3, None)
    ledger.pause(103.0, None)
    assert not ledger.is_idle(101.0)
    assert not ledger.is_idle(102.0)
    assert ledger.is_idle(103.0)


def test_a_permit_that_was_used_later_counts_from_then() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 2, 7)
    ledger.add(100.5, 1, 7)
    assert ledger.move(100.0, 100.3)
    assert ledger.used(101.2, 1.0) == 2
    assert ledger.used(100.6, 1.0) == 3
    told = ages(ledger.unreported(100.6, 7), 100.6)
    assert [permits for _, permits in told] == [1, -1]
    assert [age for age, _ in told] == pytest.approx([0.3, 0.6], abs=GRAIN)
    ledger.mark(7)
    assert ledger.unreported(100.6, 7) == []


def test_another_epoch_is_told_of_a_moved_permit_where_it_counts_now() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 1, 7)
    ledger.move(100.0, 100.3)
    assert [permits for _, permits in ages(ledger.unreported(100.6, 8), 100.6)] == [1]


def test_a_permit_that_the_store_was_never_told_of_is_moved_at_home() -> None:
    ledger = Ledger(BUCKET)
    ledger.add(100.0, 1, None)
    ledger.move(100.0, 100.3)
    assert [permits for _, permits in ages(ledger.unreported(100.6, 7), 100.6)] == [1]


def test_nothing_is_moved_that_is_not_there_or_is_of_later() -> None:
    ledger = Ledger(BUCKET)
    assert not ledger.move(100.0, 100.3)
    ledger.add(100.0, 1, 7)
    assert not ledger.move(100.5, 100.8)
    assert not ledger.move(99.0, 99.5)
    assert ledger.used(100.1, 1.0) == 1


def test_it_is_scarce_while_somebody_was_told_to_wait_a_moment_ago() -> None:
    ledger = Ledger(BUCKET)
    assert not ledger.is_scarce(100.0)
    ledger.awaited_at = 100.0
    assert ledger.is_scarce(101.9)
    assert not ledger.is_scarce(102.1)
