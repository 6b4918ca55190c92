from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from gateway.tokens.stores import StoreAway
from gateway.tokens.together import MOST_AT_ONCE, Together


class Store:
    """Knows every key but b"none", and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.open = asyncio.Event()
        self.away = False

    async def ask(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        self.asked.append(list(keys))
        await self.open.wait()
        if self.away:
            raise StoreAway("it is away")
        return {key: key.upper() for key in keys if key != b"none"}


async def test_questions_that_come_during_a_query_go_in_the_next_one() -> None:
    store = Store()
    together = Together(store.ask)
    first = asyncio.create_task(together.get(b"a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(together.get(key)) for key in (b"b", b"c", b"b", b"none")]
    await asyncio.sleep(0)
    store.open.set()
    assert await first == b"A"
    assert await asyncio.gather(*others) == [b"B", b"C", b"B", None]
    assert store.asked == [[b"a"], [b"b", b"c", b"none"]]


async def test_a_thousand_questions_at_once_are_few_queries() -> None:
    store = Store()
    store.open.set()
    together = Together(store.ask)
    keys = [b"key-%d" % number for number in range(1000)]
    assert await asyncio.gather(*map(together.get, keys)) == [key.upper() for key in keys]
    assert len(store.asked) == 1000 / MOST_AT_ONCE


async def test_who_gives_up_takes_the_answer_from_nobody() -> None:
    store = Store()
    together = Together(store.ask)
    quitter, patient = (asyncio.create_task(together.get(b"a")) for _ in range(2))
    await asyncio.sleep(0)
    quitter.cancel()
    await asyncio.sleep(0)
    store.open.set()
    assert await patient == b"A"
    assert quitter.cancelled()


async def test_everybody_is_told_that_the_store_is_away_and_the_next_question_asks_again() -> None:
    store = Store()
    store.away = True
    store.open.set()
    together = Together(store.ask)
    told = await asyncio.gather(together.get(b"a"), together.get(b"b"), return_exceptions=True)
    assert [str(error) for error in told] == ["it is away"] * 2
    assert told[0] is not told[1]
    store.away = False
    assert await together.get(b"a") == b"A"


async def test_a_defect_does_not_leave_askers_waiting() -> None:
    async def broken(_: Sequence[bytes]) -> Mapping[bytes, bytes]:
        raise ZeroDivisionError

    with pytest.raises(StoreAway):
        async with asyncio.timeout(5):
            await Together(broken).get(b"a")
