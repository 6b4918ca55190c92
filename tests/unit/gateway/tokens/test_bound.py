from __future__ import annotations

import asyncio
import time

import pytest

from gateway.tokens.stores import Bound, StoreAway, StoreLate


async def never() -> None:
    await asyncio.Event().wait()


async def at_once() -> str:
    return "done"


async def test_a_store_that_is_late_twice_in_a_row_is_spared_for_a_while() -> None:
    bound = Bound(0.01, 4)
    for _ in range(2):
        with pytest.raises(StoreAway, match="in time"):
            await bound.run(never)
    with pytest.raises(StoreAway, match="a moment ago"):
        await bound.run(at_once)


async def test_an_answer_between_two_late_ones_clears_the_first() -> None:
    bound = Bound(0.01, 4)
    for _ in range(3):
        with pytest.raises(StoreAway, match="in time"):
            await bound.run(never)
        assert await bound.run(at_once) == "done"


async def test_waiting_for_a_place_does_not_count() -> None:
    bound = Bound(0.2, 1)

    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "done"

    assert await asyncio.gather(*(bound.run(slow) for _ in range(10))) == ["done"] * 10


async def test_what_waits_for_a_place_when_the_store_hangs_is_told_so_at_once() -> None:
    bound = Bound(0.05, 2)
    ran = 0

    async def hangs() -> None:
        nonlocal ran
        ran += 1
        await never()

    results = await asyncio.gather(*(bound.run(hangs) for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {StoreLate}
    assert ran == 2


async def test_a_process_that_sleeps_through_the_moment_does_not_blame_the_store() -> None:
    bound = Bound(0.05, 4)

    async def answered_meanwhile() -> str:
        await asyncio.sleep(0.04)
        return "done"

    command = asyncio.create_task(bound.run(answered_meanwhile))
    await asyncio.sleep(0.01)
    time.sleep(0.3)  # noqa: ASYNC251  the whole process stands still
    assert await command == "done"


async def test_who_gives_up_ends_the_command() -> None:
    bound = Bound(10, 4)
    ended = asyncio.Event()

    async def watched() -> None:
        try:
            await never()
        finally:
            ended.set()

    command = asyncio.create_task(bound.run(watched))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    command.cancel()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_who_insists_gets_an_answer_of_a_store_that_is_only_busy() -> None:
    bound = Bound(0.01, 4)
    assert await bound.run(at_once) == "done"
    asked = 0

    async def late_at_first() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            await never()
        return "done"

    assert await bound.insist(late_at_first) == "done"


async def test_nobody_insists_on_a_store_that_never_answered() -> None:
    bound = Bound(0.01, 4)
    asked = 0

    async def counted() -> None:
        nonlocal asked
        asked += 1
        await never()

    with pytest.raises(StoreLate):
        await bound.insist(counted)
    assert asked == 1
