"""Commands that share a round trip, and what becomes of them when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.limits.batches import Batches
from gateway.redis_scripts import Command


class Wire:
    """Records batches; each waits for `open`."""

    def __init__(self) -> None:
        self.sent: list[list[Command]] = []
        self.busy = asyncio.Event()
        self.open = asyncio.Event()
        self.failure: Exception | None = None

    async def send(self, commands: Sequence[Command]) -> Sequence[Any]:
        self.sent.append(list(commands))
        self.busy.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return [command[0] for command in commands]


async def test_what_is_asked_while_a_batch_is_under_way_travels_as_one() -> None:
    wire = Wire()
    batches = Batches(wire.send)
    first = asyncio.create_task(batches.ask(("a",)))
    await wire.busy.wait()
    rest = [asyncio.create_task(batches.ask((str(number),))) for number in range(5)]
    await asyncio.sleep(0)
    wire.open.set()
    assert await first == "a"
    assert await asyncio.gather(*rest) == ["0", "1", "2", "3", "4"]
    assert [len(batch) for batch in wire.sent] == [1, 5]


async def test_what_waits_behind_a_failing_batch_fails_with_it() -> None:
    wire = Wire()
    batches = Batches(wire.send)
    wire.failure = OSError("gone")
    first = asyncio.create_task(batches.ask(("a",)))
    await wire.busy.wait()
    second = asyncio.create_task(batches.ask(("b",)))
    await asyncio.sleep(0)
    wire.open.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    wire.failure = None
    assert await batches.ask(("c",)) == "c"


async def test_a_caller_that_goes_away_takes_nobody_with_it() -> None:
    wire = Wire()
    batches = Batches(wire.send)
    going = asyncio.create_task(batches.ask(("a",)))
    staying = asyncio.create_task(batches.ask(("b",)))
    await wire.busy.wait()
    going.cancel()
    wire.open.set()
    assert await staying == "b"
    with pytest.raises(asyncio.CancelledError):
        await going


async def test_a_reply_that_is_an_error_is_raised_to_its_caller_alone() -> None:
    async def send(commands: Sequence[Command]) -> Sequence[Any]:
        return [ValueError("bad") if command == ("a",) else "ok" for command in commands]

    batches = Batches(send)
    results = await asyncio.gather(batches.ask(("a",)), batches.ask(("b",)), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert results[1] == "ok"
