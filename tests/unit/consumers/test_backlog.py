"""What the process knows of the calls that it moved into the broker."""

from __future__ import annotations

from consumers.backlog import Backlog


def test_an_unknown_queue_is_empty() -> None:
    backlog = Backlog()
    assert backlog.depth("b", "bulk") == 0
    assert not backlog.holds("b", "bulk", "p")


def test_a_moved_call_counts_for_its_bucket_lane_and_producer_alone() -> None:
    backlog = Backlog()
    backlog.moved("b", "bulk", "p")
    assert backlog.depth("b", "bulk") == 1
    assert backlog.holds("b", "bulk", "p")
    assert not backlog.holds("b", "bulk", None)
    assert not backlog.holds("b", "interactive", "p")
    assert not backlog.holds("c", "bulk", "p")
    assert backlog.depth("b", "interactive") == 0


def test_what_is_seen_replaces_what_was_counted() -> None:
    backlog = Backlog()
    backlog.moved("b", "bulk", "p")
    backlog.seen("b", "bulk", 40)
    assert backlog.depth("b", "bulk") == 40
    assert backlog.holds("b", "bulk", "p")


def test_an_empty_queue_holds_nobody() -> None:
    backlog = Backlog()
    backlog.moved("b", "bulk", "p")
    backlog.seen("b", "bulk", 0)
    assert backlog.depth("b", "bulk") == 0
    assert not backlog.holds("b", "bulk", "p")


def test_who_went_in_before_a_call_that_came_out_is_out_as_well() -> None:
    times = iter([1.0, 2.0, 3.0])
    backlog = Backlog(lambda: next(times))
    for name in ("early", "late", "last"):
        backlog.moved("b", "bulk", name)
    backlog.taken("b", "bulk", 2.0)
    held = [name for name in ("early", "late", "last") if backlog.holds("b", "bulk", name)]
    assert held == ["last"]
    assert backlog.depth("b", "bulk") == 2


def test_more_taken_than_was_known_leaves_an_empty_queue() -> None:
    backlog = Backlog()
    backlog.seen("b", "bulk", 1)
    for _ in range(3):
        backlog.taken("b", "bulk", 1.0)
    assert backlog.depth("b", "bulk") == 0
    backlog.taken("unknown", "bulk", 1.0)


def test_what_went_in_when_an_empty_queue_was_looked_at_may_be_there_by_now() -> None:
    times = iter([100.0, 101.5, 102.5])
    backlog = Backlog(lambda: next(times))
    for name in ("early", "under way", "later"):
        backlog.moved("b", "bulk", name)
    backlog.seen("b", "bulk", 0, 102.0)
    held = [name for name in ("early", "under way", "later") if backlog.holds("b", "bulk", name)]
    assert held == ["under way", "later"]
    assert backlog.depth("b", "bulk") == 2
    backlog.seen("b", "bulk", 0, 104.0)
    assert backlog.depth("b", "bulk") == 0
