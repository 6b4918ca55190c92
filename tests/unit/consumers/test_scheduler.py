"""Lines before buckets: who gets a permit, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
import time

import pytest

from consumers.groups import MOST_PERMITS
from consumers.scheduler import Scheduler
from consumers.turns import Closing, Overflow
from gateway.errors import Expired, Refused
from gateway.limits.grant import Grant
from schemas.reply import ErrorType
from tests.support.doled import Doled, full
from tests.support.lines import CHAT, MANY, MINUTE, SECOND, ended, job, settled, start
from tests.support.waiting import eventually


def scheduler(limiter: Doled, cap: int = 32) -> Scheduler:
    return Scheduler(limiter, cap=cap)


async def test_a_call_gets_its_permit_at_once_where_there_is_one() -> None:
    limiter = Doled()
    turn = await scheduler(limiter).turn(job(), "bulk")
    assert turn.waited < 0.1
    assert turn.holder == ""
    assert turn.permit_at == pytest.approx(time.monotonic(), abs=0.1)
    assert limiter.asked == [("second", 1)]


async def test_permits_are_asked_for_together_and_never_more_than_there_are_calls() -> None:
    limiter = Doled()
    limiter.open.clear()
    line = scheduler(limiter)
    tasks = [start(line, job(MANY)) for _ in range(MOST_PERMITS + 6)]
    await settled()
    limiter.open.set()
    await ended(tasks)
    assert limiter.asked in (
        [("many", 1), ("many", MOST_PERMITS), ("many", 5)],
        [("many", MOST_PERMITS), ("many", 6)],
    )


async def test_interactive_calls_go_before_bulk_calls() -> None:
    limiter, order = Doled(full(0.05)), list[str]()
    line = scheduler(limiter)
    tasks = []
    for name, lane in (
        ("b1", "bulk"),
        ("b2", "bulk"),
        ("i1", "interactive"),
        ("i2", "interactive"),
    ):
        tasks.append(start(line, job(MANY), lane, order=order, name=name))
        await settled()
    await ended(tasks)
    assert order == ["i1", "i2", "b1", "b2"]


async def test_interactive_calls_are_asked_for_first_and_while_bulk_has_nothing() -> None:
    limiter = Doled(full(10.0))
    line = scheduler(limiter)
    bulk = start(line, job(MANY), "bulk")
    await settled()
    assert (await line.turn(job(MANY), "interactive")).waited < 0.1
    assert not bulk.done()
    assert [ask.lane for asks in limiter.batches for ask in asks] == ["bulk", "interactive"]
    line.close()
    await ended([bulk])


async def test_what_is_closed_to_interactive_calls_is_closed_to_bulk_calls() -> None:
    limiter = Doled(full(10.0))
    line = scheduler(limiter)
    tasks = [start(line, job(MANY), lane) for lane in ("interactive", "bulk")]
    await settled()
    assert len(limiter.batches) == 1
    line.close()
    await ended(tasks)


async def test_a_wait_is_spent_in_line_and_told() -> None:
    turn = await scheduler(Doled(full(0.08))).turn(job(), "bulk")
    assert 0.07 < turn.waited < 1


async def test_a_new_arrival_does_not_ask_about_a_bucket_that_is_known_to_be_full() -> None:
    limiter = Doled(full(0.2))
    line = scheduler(limiter)
    tasks = []
    for _ in range(20):
        tasks.append(start(line, job(MANY)))
        await asyncio.sleep(0.005)
    await ended(tasks)
    assert len(limiter.batches) == 2


async def test_an_empty_hand_of_no_known_end_is_no_busy_loop() -> None:
    limiter = Doled(*[Grant(0, 0.0, 0.0, "window")] * 1000)
    line = scheduler(limiter)
    task = start(line, job(MANY))
    await asyncio.sleep(0.1)
    assert 1 < len(limiter.batches) <= 51
    line.close()
    await ended([task])


async def test_a_call_that_can_get_no_slot_in_time_is_told_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        await scheduler(Doled(full(20.0))).turn(job(left=10.0), "interactive")
    assert time.monotonic() - began < 1
    assert refused.value.type is ErrorType.RATE_LIMITED
    assert refused.value.retry_after == pytest.approx(20.0, abs=0.5)


async def test_only_those_in_line_who_can_get_no_slot_in_time_are_told() -> None:
    line = scheduler(Doled(full(0.05)))
    results = await ended(start(line, job(left=2.5)) for _ in range(5))
    assert [isinstance(result, Refused) for result in results] == [False] * 3 + [True] * 2


async def test_a_call_that_came_too_late_is_expired() -> None:
    limiter = Doled()
    with pytest.raises(Expired):
        await scheduler(limiter).turn(job(left=-1.0), "bulk")
    assert not limiter.batches


async def test_a_call_whose_deadline_comes_while_it_waits_is_told_then() -> None:
    line = scheduler(Doled(full(60.0, "busy")))
    began = time.monotonic()
    with pytest.raises(Expired):
        await line.turn(job(left=0.1), "bulk")
    assert time.monotonic() - began < 0.3


async def test_a_first_burst_keeps_no_more_than_the_cap_when_the_bucket_is_full() -> None:
    limiter = Doled(full(10.0))
    limiter.open.clear()
    line = scheduler(limiter, cap=2)
    tasks = [start(line, job()) for _ in range(5)]
    await settled()
    limiter.open.set()
    await eventually(lambda: sum(task.done() for task in tasks) == 3)
    line.close()
    ends = await ended(tasks)
    assert [type(end) for end in ends] == [Closing, Closing, Overflow, Overflow, Overflow]


async def test_a_full_bucket_does_not_delay_another() -> None:
    line = scheduler(Doled(full(10.0)))
    held = start(line, job(SECOND))
    await settled()
    assert (await line.turn(job(MINUTE), "bulk")).waited < 0.1
    assert line.held() == {(SECOND, "bulk"): 1}
    line.close()
    assert isinstance((await ended([held]))[0], Closing)


async def test_closing_sends_everyone_home_and_admits_nobody() -> None:
    line = scheduler(Doled(full(10.0)))
    held = [start(line, job()) for _ in range(3)]
    await settled()
    line.close()
    assert [type(result) for result in await ended(held)] == [Closing] * 3
    with pytest.raises(Closing):
        await line.turn(job(), "bulk")
    await eventually(lambda: not line._lines)


async def test_the_permit_of_a_call_that_left_goes_to_the_next() -> None:
    limiter = Doled(full(0.05), Grant(1, 0.0, 0.0, "window"))
    line = scheduler(limiter)
    gone, stays = start(line, job(MANY)), start(line, job(MANY))
    await settled()
    gone.cancel()
    assert (await stays).waited < 1
    assert isinstance((await ended([gone]))[0], asyncio.CancelledError)


async def test_the_permit_of_a_call_that_leaves_at_that_moment_goes_to_the_next() -> None:
    limiter = Doled(full(0.02), Grant(1, 0.0, 0.0, "window"))
    line = scheduler(limiter)
    gone, stays = start(line, job(MANY)), start(line, job(MANY))
    await settled()
    limiter.meanwhile = gone.cancel
    assert (await stays).waited < 1
    assert isinstance((await ended([gone]))[0], asyncio.CancelledError)


async def test_the_permit_of_a_call_that_expired_meanwhile_goes_to_the_next() -> None:
    limiter = Doled(Grant(1, 0.0, 0.0, ""), full(10.0))
    limiter.open.clear()
    line = scheduler(limiter)
    late, stays = start(line, job(MANY, left=0.05)), start(line, job(MANY))
    await asyncio.sleep(0.06)
    limiter.open.set()
    assert (await stays).waited < 1
    assert isinstance((await ended([late]))[0], Expired)


async def test_a_defect_of_the_limiter_reaches_its_callers_and_the_line_goes_on() -> None:
    limiter = Doled(RuntimeError("defect"))
    line = scheduler(limiter)
    with pytest.raises(RuntimeError, match="defect"):
        await line.turn(job(), "bulk")
    await eventually(lambda: not line._lines)
    assert (await line.turn(job(), "bulk")).waited < 0.1


async def test_a_permit_that_holds_later_is_not_asked_for_again_and_holds_up_nobody() -> None:
    limiter = Doled(Grant(1, 0.15, 0.0, ""))
    line = scheduler(limiter)
    first = start(line, job(MANY, left=30.0))
    await asyncio.sleep(0.05)
    assert not first.done()
    # The first in line takes the permit that comes first, the second the one that was promised.
    second = start(line, job(MANY, left=60.0))
    assert (await first).waited < 0.1
    assert not second.done()
    assert (await second).waited == pytest.approx(0.1, abs=0.05)
    assert limiter.asked == [("many", 1), ("many", 1)]


async def test_a_promised_permit_holds_from_its_own_time() -> None:
    began = time.monotonic()
    turn = await scheduler(Doled(Grant(1, 0.1, 0.0, ""))).turn(job(MANY), "bulk")
    assert turn.permit_at - began == pytest.approx(0.1, abs=0.05)
    assert turn.waited >= 0.09


@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_a_group_that_emptied_while_it_was_asked_for_serves_who_comes_then(
    delay: float,
) -> None:
    limiter = Doled(Grant(1, delay, 0.0, ""))
    limiter.open.clear()
    line = scheduler(limiter)
    gone = start(line, job(MANY, CHAT(1)))
    await settled()
    gone.cancel()
    await ended([gone])
    comes = start(line, job(MANY, CHAT(1)))
    await settled()
    limiter.open.set()
    assert (await comes).waited < 1
    assert len(limiter.batches) == 1
    await eventually(lambda: not line._lines)


async def test_a_promise_that_nobody_takes_is_lost_and_the_line_ends() -> None:
    line = scheduler(Doled(Grant(1, 0.05, 0.0, "")))
    task = start(line, job(MANY))
    await settled()
    task.cancel()
    await ended([task])
    await eventually(lambda: not line._lines)


async def test_a_group_that_is_full_does_not_hold_up_the_others_of_its_line() -> None:
    limiter = Doled()
    limiter.closed["chat1"] = time.monotonic() + 0.2
    line = scheduler(limiter)
    held = start(line, job(MANY, CHAT(1)))
    await settled()
    assert (await line.turn(job(MANY, CHAT(2)), "bulk")).waited < 0.1
    asked = len(limiter.batches)
    await asyncio.sleep(0.05)
    assert len(limiter.batches) == asked
    assert (await held).waited == pytest.approx(0.2, abs=0.1)


async def test_the_place_of_a_call_is_its_own_and_is_given_back() -> None:
    limiter = Doled()
    line = scheduler(limiter)
    place = CHAT(1, at_once=1)
    first = job(MANY, place)
    turn = await line.turn(first, "bulk")
    assert turn.holder == limiter.batches[0][0].holder != ""
    limiter.grants.append(full(10.0, "busy", 1))
    second = start(line, job(MANY, place))
    await settled()
    assert not second.done()
    line.finished(first, turn)
    assert limiter.released == [turn.holder]
    again = await second
    assert again.waited < 1
    assert again.holder not in ("", turn.holder)


async def test_one_place_is_asked_for_at_a_time_and_one_that_nobody_uses_is_given_back() -> None:
    limiter = Doled()
    limiter.open.clear()
    line = scheduler(limiter)
    tasks = [start(line, job(MANY, CHAT(1, at_once=3))) for _ in range(2)]
    await settled()
    assert limiter.asked == [("chat1", 1)]
    for task in tasks:
        task.cancel()
    await settled()
    limiter.open.set()
    await eventually(lambda: limiter.released == [limiter.batches[0][0].holder])


async def test_a_turn_that_came_in_the_moment_of_leaving_gives_its_place_back() -> None:
    limiter = Doled()
    line = scheduler(limiter)
    task = start(line, job(MANY, CHAT(1, at_once=1)))
    limiter.meanwhile = lambda: asyncio.get_running_loop().call_soon(task.cancel)
    assert isinstance((await ended([task]))[0], asyncio.CancelledError)
    assert limiter.released == [limiter.batches[0][0].holder]
