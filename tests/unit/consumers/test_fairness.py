"""Whose turn it is among producers that share a line."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from consumers.fairness import MOST_PRODUCERS, FairQueue

Named = FairQueue[tuple[str, int]]


def take(queue: Named) -> tuple[str, int]:
    item = queue.first(lambda _: True)
    assert item is not None
    queue.serve(item)
    queue.remove(item)
    return item


def jain(shares: list[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def test_producers_take_turns_whatever_they_have_in_line() -> None:
    queue = Named()
    for name, items in (("heavy", 5), ("a", 2), ("b", 1)):
        for n in range(items):
            queue.add((name, n), name, 1.0)
    assert [take(queue)[0] for _ in range(8)] == [
        *("heavy", "a", "b"),
        *("heavy", "a"),
        *("heavy", "heavy", "heavy"),
    ]
    assert not queue


@pytest.mark.parametrize("known", [True, False])
def test_one_heavy_producer_leaves_nine_light_ones_their_share(known: bool) -> None:
    """Ten permits a second; one producer has 10,000 calls in line, nine send one a second each."""
    queue, served, waits = Named(), Counter[str](), list[int]()
    heavy = "heavy" if known else None
    for n in range(10_000):
        queue.add(("heavy", n), heavy, 60.0)
    light = [f"light-{n}" for n in range(9)]
    for tick in range(600):
        second, tenth = divmod(tick, 10)
        if tenth < 9:
            # Deadlines are later than all of the heavy one's: they must not matter between them.
            queue.add((light[tenth], tick), light[tenth], 1000.0 + second)
        name, since = take(queue)
        served[name] += 1
        if name != "heavy":
            waits.append(tick - since)
    demanded = {"heavy": 60.0} | dict.fromkeys(light, 60.0)
    assert jain([served[name] / demanded[name] for name in demanded]) >= 0.95
    assert max(waits) <= 10
    assert served.total() == 600


def test_of_one_producer_the_earliest_deadline_goes_first_and_equal_ones_as_they_came() -> None:
    queue = Named()
    for n, deadline in enumerate((9.0, 3.0, 5.0, 3.0)):
        queue.add(("a", n), "a", deadline)
    assert [take(queue)[1] for _ in range(4)] == [1, 3, 2, 0]


def test_a_walk_tells_the_order_of_service_and_changes_nothing() -> None:
    queue, luck = Named(), random.Random(7)
    for n in range(200):
        queue.add(("x", n), f"p{luck.randrange(12)}", luck.randrange(50) * 1.0)
    walked = list(queue)
    assert walked == [take(queue) for _ in range(200)]


def test_those_that_are_not_ready_are_passed_over_and_cost_their_producer_no_turn() -> None:
    queue = Named()
    for n in range(3):
        queue.add(("a", n), "a", float(n))
        queue.add(("b", n), "b", float(n))
    ready = [("a", 2), ("b", 0), ("b", 1)]
    assert list(queue.walk(ready.__contains__)) == [("a", 2), ("b", 0), ("b", 1)]
    assert queue.first(ready.__contains__) == ("a", 2)
    assert queue.first(lambda _: False) is None


def test_an_item_can_be_taken_out_wherever_it_stands_and_more_than_once() -> None:
    queue = Named()
    for n in range(4):
        queue.add(("a", n), "a", 1.0)
    queue.remove(("a", 2))
    queue.remove(("a", 2))
    assert [n for _, n in queue] == [0, 1, 3]


def test_what_is_too_late_is_found_without_looking_at_all() -> None:
    queue = Named()
    for n in range(6):
        queue.add(("x", n), "ab"[n % 2], float(n))
    assert sorted(n for _, n in queue.before(3.0)) == [0, 1, 2, 3]
    assert queue.earliest() == 0.0
    assert Named().earliest() is None


def test_any_number_of_producers_has_a_bounded_number_of_queues() -> None:
    queue = Named()
    for n in range(1000):
        queue.add(("x", n), f"producer-{n}", 1.0)
    assert len(queue._ring) <= 2 * MOST_PRODUCERS
    assert len(queue) == 1000
    assert len({take(queue) for _ in range(1000)}) == 1000
    assert not queue._ring
    assert not queue._places


def test_a_producer_keeps_its_queue_when_many_others_come() -> None:
    queue = Named()
    queue.add(("a", 0), "first", 1.0)
    for n in range(500):
        queue.add(("x", n), f"producer-{n}", 1.0)
    queue.add(("a", 1), "first", 0.0)
    assert queue._ring["first"] == [(0.0, 501, ("a", 1)), (1.0, 0, ("a", 0))]
