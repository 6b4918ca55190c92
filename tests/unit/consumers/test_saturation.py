"""What is known of full buckets, and how soon a place in line can be served at the earliest."""

from __future__ import annotations

import pytest

from consumers.backlog import Backlog
from consumers.saturation import MOST_KNOWN, SHORTEST_WAIT, Saturation
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant, Reason
from schemas.apis import Window
from schemas.names import LANES

API = Bucket("api", (Window(1000, 60), Window(50, 1)))
CHAT = Bucket("chat", (Window(5, 1),))


def test_a_full_window_of_bulk_calls_leaves_interactive_calls_free() -> None:
    known = Saturation(Backlog())
    known.note(API, "bulk", "window", 5.0, 0.0)
    assert known.until(API, "bulk") == 5.0
    assert known.until(API, "interactive") == 0.0
    assert not known.is_saturated(API, "interactive", 1.0)


@pytest.mark.parametrize("reason", ["paused", "settling", "local", "busy"])
def test_everything_else_holds_for_both_lanes(reason: Reason) -> None:
    known = Saturation(Backlog())
    known.note(API, "bulk", reason, 5.0, 0.0)
    assert [known.until(API, lane) for lane in LANES] == [5.0, 5.0]
    assert known.is_saturated(API, "interactive", 4.9)
    assert not known.is_saturated(API, "interactive", 5.0)


def test_a_full_window_of_interactive_calls_is_full_for_bulk_calls() -> None:
    known = Saturation(Backlog())
    known.note(API, "interactive", "window", 5.0, 0.0)
    assert known.until(API, "bulk") == 5.0


def test_the_newest_word_counts() -> None:
    known = Saturation(Backlog())
    known.note(API, "bulk", "paused", 9.0, 0.0)
    known.note(API, "interactive", "window", 5.0, 0.0)
    assert known.until(API, "interactive") == 5.0


@pytest.mark.parametrize(
    ("grant", "api", "chat"),
    [
        (Grant(2, 0.0, 0.0, ""), 0.0, 0.0),
        (Grant(1, 0.0, 3.0, "window", 0), 13.0, 0.0),
        (Grant(0, 0.0, 3.0, "window", 1), 0.0, 13.0),
        (Grant(0, 0.0, 3.0, "settling", -1), 13.0, 0.0),
        (Grant(0, 0.0, 0.0, "window", 1), 0.0, 10.0 + SHORTEST_WAIT),
    ],
)
def test_a_grant_says_which_bucket_is_in_the_way(grant: Grant, api: float, chat: float) -> None:
    known = Saturation(Backlog())
    known.hear(Ask((API, CHAT), 2, "bulk"), grant, 10.0)
    assert (known.until(API, "bulk"), known.until(CHAT, "bulk")) == (api, chat)


def test_calls_in_the_broker_make_a_bucket_saturated() -> None:
    backlog = Backlog()
    backlog.seen("api", "bulk", 1)
    known = Saturation(backlog)
    assert known.is_saturated(API, "bulk", 0.0)
    assert not known.is_saturated(API, "interactive", 0.0)


def test_a_call_is_ready_when_all_its_buckets_are() -> None:
    known = Saturation(Backlog())
    known.note(API, "bulk", "window", 3.0, 0.0)
    known.note(CHAT, "bulk", "window", 7.0, 0.0)
    assert known.ready_at((API, CHAT), "bulk") == 7.0
    assert known.ready_at((), "bulk") == 0.0


def test_a_place_given_back_is_free_again_and_a_window_is_not() -> None:
    known = Saturation(Backlog())
    known.note(API, "bulk", "busy", 7.0, 0.0)
    known.note(API, "bulk", "window", 3.0, 0.0)
    known.freed(API)
    assert known.until(API, "bulk") == 3.0


@pytest.mark.parametrize(
    ("place", "seconds"),
    [(0, 0.0), (49, 0.0), (50, 1.0), (99, 1.0), (100, 2.0), (999, 19.0), (1000, 60.0)],
)
def test_the_soonest_a_place_is_served_is_a_lower_bound(place: int, seconds: float) -> None:
    known = Saturation(Backlog())
    assert known.soonest(API, "bulk", place, 100.0) == seconds
    known.note(API, "bulk", "window", 104.0, 100.0)
    assert known.soonest(API, "bulk", place, 100.0) == 4.0 + seconds


def test_a_bucket_that_is_busy_may_be_free_at_any_time() -> None:
    known = Saturation(Backlog())
    places = Bucket("places", (), at_once=1)
    known.note(places, "bulk", "busy", 50.0, 0.0)
    assert known.soonest(places, "bulk", 30, 0.0) == 0.0


def test_what_is_over_is_forgotten() -> None:
    known = Saturation(Backlog())
    for n in range(MOST_KNOWN * 2):
        known.note(Bucket(f"b{n}", ()), "bulk", "window", n + 1.0, float(n))
    assert len(known._full) <= MOST_KNOWN
