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
