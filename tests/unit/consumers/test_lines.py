"""What a line asks for, and to whom a permit goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count
from typing import Any

from consumers.backlog import Backlog
from consumers.groups import MOST_GROUPS, MOST_PERMITS, Waiter
from consumers.lines import Line
from consumers.saturation import Saturation
from gateway.limits.buckets import Bucket
from schemas.names import Lane
from tests.support.lines import CHAT, MANY, job

_numbers = count()


def line() -> Line:
    return Line(MANY, Counter())


def wait(
    line: Line,
    *others: Bucket,
    lane: Lane = "bulk",
    producer: str | None = None,
    deadline: float = 100.0,
    sequence: int | None = None,
) -> Waiter:
    """Put a call in line."""
    made = job(MANY, *others, sequence=sequence)
    turn = asyncio.get_running_loop().create_future()
    waiter = Waiter(made, lane, producer, False, next(_numbers), 0.0, deadline, turn)
    line.add(waiter)
    return waiter


def asked(line: Line, known: Saturation | None = None, now: float = 1.0) -> list[Any]:
    known = known or Saturation(Backlog())
    return [(ask.buckets[-1].key, ask.lane, ask.want) for _, ask in line.asks(known, now, 1)]


def taken(line: Line, group_of: Waiter) -> list[Waiter]:
    """Who gets the permits of a group, one after the other."""
    group, order = line.group_of(group_of), []
    while waiter := line.take(group):
        order.append(waiter)
    return order


async def test_neighbours_of_one_group_and_lane_are_one_ask() -> None:
    calls = line()
    for chat in (1, 1, 2, 1):
        wait(calls, CHAT(chat))
    wait(calls, CHAT(2), lane="interactive")
    assert asked(calls) == [
        ("chat2", "interactive", 1),
        ("chat1", "bulk", 2),
        ("chat2", "bulk", 1),
        ("chat1", "bulk", 1),
    ]


async def test_lanes_of_one_group_are_asked_for_apart() -> None:
    calls = line()
    for lane in ("bulk", "interactive", "bulk"):
        wait(calls, lane=lane)
    assert asked(calls) == [("many", "interactive", 1), ("many", "bulk", 2)]


async def test_asks_follow_the_turns_of_the_producers() -> None:
    calls = line()
    for producer in ("a", "a", "a", "b"):
        wait(calls, CHAT("ab".index(producer)), producer=producer)
    assert asked(calls) == [("chat0", "bulk", 1), ("chat1", "bulk", 1), ("chat0", "bulk", 2)]


async def test_no_more_than_a_batch_is_asked_for() -> None:
    calls = line()
    for _ in range(MOST_PERMITS + 10):
        wait(calls)
    assert asked(calls) == [("many", "bulk", MOST_PERMITS)]


async def test_no_more_groups_than_a_batch_holds_are_asked_for() -> None:
    calls = line()
    for n in range(MOST_GROUPS + 10):
        wait(calls, CHAT(n))
    assert asked(calls) == [(f"chat{n}", "bulk", 1) for n in range(MOST_GROUPS)]


async def test_groups_that_are_full_are_left_out_until_they_have_permits() -> None:
    calls, known = line(), Saturation(Backlog())
    for n in range(3):
        wait(calls, CHAT(n))
    known.note(CHAT(1), "bulk", "window", 5.0, 1.0)
    assert [key for key, _, _ in asked(calls, known)] == ["chat0", "chat2"]
    assert [key for key, _, _ in asked(calls, known, now=5.0)] == ["chat0", "chat1", "chat2"]


async def test_a_full_api_is_asked_nothing() -> None:
    calls, known = line(), Saturation(Backlog())
    wait(calls, CHAT(1))
    known.note(MANY, "interactive", "window", 5.0, 1.0)
    assert asked(calls, known) == []
    assert calls.next_look(known) == 5.0


async def test_a_line_is_looked_at_again_when_something_may_happen_first() -> None:
    calls, known = line(), Saturation(Backlog())
    wait(calls, CHAT(1), deadline=50.0)
    wait(calls, CHAT(2), deadline=60.0)
    known.note(CHAT(1), "bulk", "window", 30.0, 1.0)
    known.note(CHAT(2), "bulk", "window", 20.0, 1.0)
    assert calls.next_look(known) == 20.0
    known.note(MANY, "bulk", "paused", 55.0, 1.0)
    assert calls.next_look(known) == 50.0
    assert line().next_look(known) is None


async def test_a_place_is_asked_for_alone_and_with_a_holder_of_its_own() -> None:
    calls = line()
    for _ in range(3):
        wait(calls, CHAT(1, at_once=2))
        wait(calls, CHAT(2, at_once=1))
        wait(calls, CHAT(3))
    asks = [ask for _, ask in calls.asks(Saturation(Backlog()), 1.0, 1)]
    assert [(ask.buckets[-1].key, ask.want) for ask in asks] == [
        ("chat1", 1),
        ("chat2", 1),
        ("chat3", 3),
    ]
    assert asks[0].holder != asks[1].holder
    assert asks[0].holder
    assert not asks[2].holder


async def test_promised_permits_are_not_asked_for_again() -> None:
    calls = line()
    first = wait(calls, CHAT(1))
    wait(calls, CHAT(1))
    wait(calls, CHAT(2))
    group = calls.group_of(first)
    calls.promise(group, "bulk", 1)
    assert asked(calls) == [("chat1", "bulk", 1), ("chat2", "bulk", 1)]
    calls.promise(group, "bulk", 1)
    assert asked(calls) == [("chat2", "bulk", 1)]
    calls.redeem(group, "bulk", 2)
    assert asked(calls) == [("chat1", "bulk", 2), ("chat2", "bulk", 1)]


async def test_a_permit_goes_to_interactive_calls_first_then_by_turns_then_by_deadline() -> None:
    calls = line()
    late = wait(calls, producer="a", deadline=90.0)
    early = wait(calls, producer="a", deadline=80.0)
    other = wait(calls, producer="b", deadline=99.0)
    urgent = wait(calls, producer="a", lane="interactive", deadline=100.0)
    assert taken(calls, late) == [urgent, early, other, late]
    assert calls.is_idle


async def test_updates_of_one_card_go_in_their_order_whoever_sent_them() -> None:
    calls, card = line(), CHAT(1)
    third = wait(calls, card, producer="a", deadline=10.0, sequence=3)
    second = wait(calls, card, producer="b", deadline=50.0, sequence=2)
    first = wait(calls, card, producer="a", deadline=90.0, sequence=1)
    fourth = wait(calls, card, lane="interactive", sequence=4)
    assert taken(calls, third) == [first, second, third, fourth]


async def test_the_order_of_one_card_holds_up_no_other_call() -> None:
    calls = line()
    second = wait(calls, CHAT(1), deadline=10.0, sequence=2)
    other = wait(calls, CHAT(1), deadline=20.0)
    first = wait(calls, CHAT(1), deadline=30.0, sequence=1)
    assert taken(calls, second) == [first, second, other]


async def test_only_those_too_late_are_expired() -> None:
    calls = line()
    late, good = wait(calls, deadline=5.0), wait(calls, deadline=5.1)
    assert calls.expired(5.0) == [late]
    assert list(calls.waiters()) == [good]


async def test_a_line_counts_what_is_in_hand_of_each_bucket_without_what_was_moved() -> None:
    held: Counter[tuple[str, Lane]] = Counter()
    calls = Line(MANY, held)
    fresh, moved = wait(calls, CHAT(1)), wait(line(), CHAT(1))
    moved.moved = True
    calls.add(moved)
    assert +held == {("many", "bulk"): 1, ("chat1", "bulk"): 1}
    calls.remove(moved)
    calls.remove(fresh)
    calls.remove(fresh)
    assert +held == {}
    assert calls.is_idle


async def test_one_of_several_processes_asks_for_its_part() -> None:
    calls = line()
    for n in range(3):
        for _ in range(4):
            wait(calls, CHAT(n))
    asks = [ask for _, ask in calls.asks(Saturation(Backlog()), 1.0, 4)]
    assert [(ask.buckets[-1].key, ask.want) for ask in asks] == [
        ("chat0", 2),
        ("chat1", 2),
        ("chat2", 2),
    ]
    alone = line()
    for _ in range(20):
        wait(alone)
    assert [ask.want for _, ask in alone.asks(Saturation(Backlog()), 1.0, 100)] == [10]
    many = line()
    for n in range(12):
        wait(many, CHAT(n))
    assert len(many.asks(Saturation(Backlog()), 1.0, 100)) == 10
