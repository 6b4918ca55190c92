"""Who must leave a line: exactly at the boundary, and nobody who could make it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest

from consumers.backlog import Backlog
from consumers.scheduler import Scheduler
from consumers.turns import Closing, Overflow, Park, Turn
from consumers.verdicts import LONGEST_HOLD, LONGEST_MOVED_HOLD
from gateway.errors import Refused
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Grant
from schemas.apis import Window
from tests.support.doled import Doled, full
from tests.support.lines import CHAT, MANY, SECOND, ended, job, settled, start

TWO = Bucket("two", (Window(2, 10),), name="two")


class Hand:
    """A scheduler whose bucket is full, with calls in it by name."""

    def __init__(self, *grants: Grant, cap: int = 32, backlog: Backlog | None = None) -> None:
        self.limiter = Doled(*grants)
        self.line = Scheduler(self.limiter, cap=cap, backlog=backlog)
        self.tasks: dict[str, asyncio.Task[Turn]] = {}

    async def add(self, name: str, *buckets: Bucket, left: float = 300.0, **how: Any) -> None:
        call = job(*buckets, left=left, sequence=how.pop("sequence", None))
        self.tasks[name] = start(self.line, call, **how)
        await settled()

    async def outcome(self) -> dict[str, Any]:
        """What became of each; those that still wait are let go."""
        self.line.close()
        return dict(zip(self.tasks, await ended(self.tasks.values()), strict=True))

    async def left(self) -> list[str]:
        """Who was sent to an overflow queue."""
        return sorted(
            name for name, end in (await self.outcome()).items() if isinstance(end, Overflow)
        )


def moved_to(ends: dict[str, Any], names: Iterable[str]) -> list[str]:
    return [ends[name].bucket.key for name in names]


@pytest.mark.parametrize(
    ("left", "refused"),
    # Two calls are ahead and two go every 10 s: the third goes after 20 + 10 s at the earliest.
    [(29.5, True), (30.5, False)],
)
async def test_a_newcomer_is_refused_where_even_the_best_case_is_too_late(
    left: float, refused: bool
) -> None:
    hand = Hand(full(20.0))
    for name in ("a", "b"):
        await hand.add(name, TWO, left=25.0)
    await hand.add("c", TWO, left=left)
    ends = await hand.outcome()
    assert isinstance(ends["b"], Closing)
    assert isinstance(ends["c"], Refused) is refused
    if isinstance(ends["c"], Refused):
        assert ends["c"].retry_after == pytest.approx(30.0, abs=0.4)


async def test_one_with_an_earlier_deadline_is_not_counted_behind_those_that_wait() -> None:
    hand = Hand(full(20.0))
    for name in ("a", "b", "c"):
        await hand.add(name, TWO)
    await hand.add("urgent", TWO, left=21.0)
    assert isinstance((await hand.outcome())["urgent"], Closing)


async def test_bulk_calls_are_behind_interactive_ones() -> None:
    hand = Hand(full(20.0))
    for name in ("a", "b"):
        await hand.add(name, TWO, lane="interactive")
    await hand.add("bulk", TWO, left=29.0)
    assert isinstance((await hand.outcome())["bulk"], Refused)


async def test_who_waits_for_another_bucket_much_longer_is_not_ahead() -> None:
    hand = Hand()
    hand.limiter.closed["chat1"] = time.monotonic() + 40.0
    for name in ("a", "b"):
        await hand.add(name, TWO, CHAT(1), lane="interactive")
    hand.limiter.closed["two"] = time.monotonic() + 20.0
    await hand.add("c", TWO)
    await hand.add("d", TWO, left=21.0)
    assert isinstance((await hand.outcome())["d"], Closing)


async def test_those_ahead_in_its_group_count_at_the_pace_of_the_group() -> None:
    hand = Hand()
    hand.limiter.closed["chat1"] = time.monotonic() + 20.0
    for n in range(5):
        await hand.add(f"ahead{n}", MANY, CHAT(1), lane="interactive")
    await hand.add("late", MANY, CHAT(1), left=20.8)
    await hand.add("good", MANY, CHAT(1), left=21.5)
    ends = await hand.outcome()
    assert isinstance(ends["late"], Refused)
    assert isinstance(ends["good"], Closing)


async def test_a_permit_that_is_promised_is_waited_for_and_takes_no_place() -> None:
    hand = Hand(full(0.02), Grant(2, 0.2, 0.0, ""), full(20.0))
    for name, left in (("a", 11.0), ("b", 11.0), ("c", 25.0)):
        await hand.add(name, TWO, left=left)
    await asyncio.wait([hand.tasks["a"], hand.tasks["b"]], timeout=2)
    ends = await hand.outcome()
    assert [type(ends[name]) for name in ("a", "b", "c")] == [Turn, Turn, Closing]


async def test_a_wait_for_the_slowest_of_its_buckets_counts() -> None:
    hand = Hand()
    hand.limiter.closed["chat1"] = time.monotonic() + 20.0
    await hand.add("first", MANY, CHAT(1))
    await hand.add("late", MANY, CHAT(1), left=19.0)
    ends = await hand.outcome()
    assert isinstance(ends["late"], Refused)
    assert isinstance(ends["first"], Closing)


async def test_a_place_that_is_taken_refuses_nobody() -> None:
    hand = Hand(full(20.0, "busy", 1))
    await hand.add("a", MANY, CHAT(1, at_once=1), left=5.0)
    await hand.add("b", MANY, CHAT(1, at_once=1), left=5.0)
    ends = await hand.outcome()
    assert [type(end) for end in ends.values()] == [Closing, Closing]


async def test_above_the_cap_the_newest_of_whoever_has_most_in_hand_leaves() -> None:
    hand = Hand(full(10.0), cap=4)
    for name in ("heavy1", "heavy2", "heavy3", "light1"):
        await hand.add(name, MANY, producer=name[:-1])
    await hand.add("light2", MANY, producer="light")
    await hand.add("heavy4", MANY, producer="heavy")
    await hand.add("light3", MANY, producer="light")
    assert await hand.left() == ["heavy3", "heavy4", "light3"]


async def test_what_was_moved_counts_when_it_is_asked_who_has_most_in_hand() -> None:
    hand = Hand(full(10.0), cap=3)
    await hand.add("heavy1", MANY, producer="heavy")
    for n in range(4):
        await hand.add(f"moved{n}", MANY, producer="heavy", moved=True)
    for n in range(3):
        await hand.add(f"light{n}", MANY, producer="light")
    assert await hand.left() == ["heavy1"]


async def test_each_lane_has_a_cap_of_its_own() -> None:
    hand = Hand(full(10.0, "paused"), cap=2)
    for name in ("b1", "b2", "b3"):
        await hand.add(name, MANY)
    for name in ("i1", "i2"):
        await hand.add(name, MANY, lane="interactive")
    assert await hand.left() == ["b3"]


async def test_a_bucket_that_is_not_full_has_no_cap() -> None:
    hand = Hand(cap=2)
    hand.limiter.open.clear()
    for n in range(6):
        await hand.add(f"c{n}", MANY)
    assert await hand.left() == []


async def test_moved_calls_are_never_moved_again_and_count_for_nothing() -> None:
    hand = Hand(full(10.0), cap=2)
    for n in range(5):
        await hand.add(f"moved{n}", MANY, moved=True)
    for n in range(3):
        await hand.add(f"fresh{n}", MANY)
    assert await hand.left() == ["fresh2"]


async def test_of_a_burst_no_call_is_moved_that_was_moved_before() -> None:
    hand = Hand(full(10.0), cap=2)
    hand.limiter.open.clear()
    for n in range(3):
        await hand.add(f"fresh{n}", MANY)
    await hand.add("moved", MANY, moved=True)
    hand.limiter.open.set()
    await settled()
    assert await hand.left() == ["fresh2"]


async def test_calls_of_many_full_chats_are_no_excess_of_their_api() -> None:
    hand = Hand(cap=2)
    for n in range(4):
        hand.limiter.closed[f"chat{n}"] = time.monotonic() + 10.0
        await hand.add(f"c{n}", MANY, CHAT(n))
    assert await hand.left() == []


async def test_a_chat_has_a_cap_and_a_queue_of_its_own() -> None:
    hand = Hand(cap=2)
    hand.limiter.closed["chat1"] = time.monotonic() + 10.0
    for n in range(3):
        await hand.add(f"c{n}", MANY, CHAT(1))
        await hand.add(f"o{n}", MANY, CHAT(2))
    ends = await hand.outcome()
    assert moved_to(ends, ["c2"]) == ["chat1"]
    assert [type(ends[f"o{n}"]) for n in range(3)] == [Turn] * 3


async def test_a_call_goes_to_the_queue_of_the_bucket_with_the_longest_wait() -> None:
    hand = Hand(cap=1)
    hand.limiter.closed["chat1"] = time.monotonic() + 20.0
    await hand.add("chat", MANY, CHAT(1))
    hand.limiter.closed["many"] = time.monotonic() + 10.0
    await hand.add("other", MANY)
    await hand.add("both", MANY, CHAT(1))
    assert moved_to(await hand.outcome(), ["both"]) == ["chat1"]


async def test_calls_in_the_broker_make_the_cap_hold_without_a_wait() -> None:
    backlog = Backlog()
    backlog.seen("many", "bulk", 3)
    hand = Hand(cap=1, backlog=backlog)
    hand.limiter.open.clear()
    for n in range(2):
        await hand.add(f"c{n}", MANY)
    assert await hand.left() == ["c1"]


async def test_whose_calls_wait_in_the_broker_goes_behind_them() -> None:
    backlog = Backlog()
    backlog.moved("many", "bulk", "a")
    hand = Hand(backlog=backlog)
    await hand.add("behind", MANY, producer="a")
    await hand.add("other", MANY, producer="b")
    await hand.add("lane", MANY, producer="a", lane="interactive")
    await hand.add("moved", MANY, producer="a", moved=True)
    assert await hand.left() == ["behind"]


@pytest.mark.parametrize(("left", "end"), [(39.5, Refused), (40.5, Overflow)])
async def test_a_call_that_is_too_late_behind_those_in_the_broker_is_refused(
    left: float, end: type
) -> None:
    # One waits in hand, 5 in the broker, two go every 10 s: after 10 + 6 // 2 * 10 s.
    backlog = Backlog()
    hand = Hand(full(10.0), cap=1, backlog=backlog)
    await hand.add("held", TWO, left=30.0)
    backlog.seen("two", "bulk", 5)
    await hand.add("new", TWO, left=left)
    assert isinstance((await hand.outcome())["new"], end)


async def test_a_burst_leaves_in_hand_what_each_producer_sent_first() -> None:
    hand = Hand(full(10.0), cap=4)
    hand.limiter.open.clear()
    for n in range(6):
        await hand.add(f"a{n}", MANY, producer="a")
    for n in range(2):
        await hand.add(f"b{n}", MANY, producer="b")
    hand.limiter.open.set()
    await settled()
    assert await hand.left() == ["a2", "a3", "a4", "a5"]


async def test_of_one_card_the_last_update_leaves_even_if_it_came_early() -> None:
    hand = Hand(full(10.0, bucket=1), cap=2)
    for sequence in (3, 1, 2):
        await hand.add(f"s{sequence}", MANY, CHAT(1), sequence=sequence)
    assert await hand.left() == ["s3"]


@pytest.mark.parametrize(
    ("wait", "moved", "end"),
    [
        (LONGEST_HOLD - 1, False, Closing),
        (LONGEST_HOLD + 1, False, Overflow),
        (LONGEST_HOLD + 1, True, Closing),
        (LONGEST_MOVED_HOLD - 1, True, Closing),
        (LONGEST_MOVED_HOLD + 1, True, Park),
    ],
)
async def test_a_call_waits_in_hand_so_long_and_then_in_the_broker(
    wait: float, moved: bool, end: type
) -> None:
    hand = Hand(full(wait))
    began = time.time()
    for name in ("first", "second"):
        await hand.add(name, SECOND, left=2000.0, moved=moved)
    ends = await hand.outcome()
    assert [type(ends[name]) for name in ("first", "second")] == [end, end]
    if isinstance(ends["first"], Overflow | Park):
        assert ends["first"].not_before == pytest.approx(began + wait, abs=0.5)


async def test_a_call_that_is_refused_takes_no_place() -> None:
    hand = Hand(full(10.0), cap=1)
    await hand.add("held", SECOND)
    for n in range(50):
        await hand.add(f"no{n}", SECOND, left=5.0)
    await hand.add("new", SECOND)
    end = (await hand.outcome())["new"]
    assert isinstance(end, Overflow)
    assert end.not_before - time.time() == pytest.approx(11.0, abs=0.5)


async def test_more_is_known_after_a_second_answer_and_all_are_judged_again() -> None:
    hand = Hand(full(0.05), full(20.0))
    await hand.add("soon", MANY, left=10.0)
    await hand.add("later", MANY, left=30.0)
    assert not any(task.done() for task in hand.tasks.values())
    await asyncio.wait([hand.tasks["soon"]], timeout=2)
    ends = await hand.outcome()
    assert isinstance(ends["soon"], Refused)
    assert isinstance(ends["later"], Closing)


async def test_who_would_come_too_late_through_the_broker_stays_in_line() -> None:
    backlog = Backlog()
    hand = Hand(backlog=backlog)
    hand.limiter.closed["two"] = time.monotonic() + 5.0
    backlog.moved("two", "bulk", "heavy")
    backlog.seen("two", "bulk", 1000)
    await hand.add("patient", TWO, producer="heavy", left=86_000.0)
    await hand.add("urgent", TWO, producer="heavy", left=60.0)
    ends = await hand.outcome()
    assert isinstance(ends["patient"], Overflow)
    assert isinstance(ends["urgent"], Closing)


async def test_who_has_few_in_hand_is_spared_until_the_cap_is_exceeded_twice() -> None:
    for producers, gone in ((8, 0), (9, 2)):
        hand = Hand(cap=8)
        hand.limiter.closed["many"] = time.monotonic() + 5.0
        for number in range(2 * producers):
            await hand.add(f"call{number}", MANY, producer=str(number % producers))
        assert len(await hand.left()) == gone, producers


async def test_an_excess_that_would_come_too_late_through_the_broker_stays() -> None:
    backlog = Backlog()
    hand = Hand(cap=8, backlog=backlog)
    hand.limiter.closed["many"] = time.monotonic() + 5.0
    backlog.seen("many", "bulk", 1_000_000)
    for number in range(12):
        await hand.add(f"call{number}", MANY, producer="one", left=60.0)
    ends = await hand.outcome()
    assert {type(end) for end in ends.values()} == {Closing}
