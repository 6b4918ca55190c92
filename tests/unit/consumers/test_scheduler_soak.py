"""Calls that come, leave and expire as they like: everyone gets one end, and nothing leaks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from consumers.backlog import Backlog
from consumers.scheduler import Scheduler
from consumers.turns import Overflow, Park, Turn
from gateway.errors import Expired, Refused
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant
from schemas.names import LANES
from tests.support.lines import CHAT, MANY, MINUTE, SECOND, job
from tests.support.waiting import eventually

ENDS = (Turn, Overflow, Park, Refused, Expired, asyncio.CancelledError)


class Moody:
    """A limiter that gives some of what is asked for, at once or a little later, or nothing."""

    live_processes = 3

    def __init__(self, luck: random.Random) -> None:
        self._luck = luck
        self.permits = 0
        self.holders: list[str] = []
        self.released: list[str] = []

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        await asyncio.sleep(self._luck.choice((0, 0, 0.001, 0.004)))
        return [self._answer(ask) for ask in asks]

    def release(self, buckets: tuple[Bucket, ...], holder: str) -> None:
        self.released.append(holder)

    def _answer(self, ask: Ask) -> Grant:
        granted = self._luck.randint(0, ask.want)
        delay = self._luck.choice((0.0, 0.0, 0.01, 0.03)) if granted else 0.0
        self.permits += granted
        if granted and ask.holder:
            self.holders.append(ask.holder)
        if granted == ask.want:
            return Grant(granted, delay, 0.0, "")
        wait = self._luck.choice((0.0, 0.001, 0.02, 0.05))
        reason: Any = self._luck.choice(("window", "paused", "busy", "settling"))
        place = -1 if reason == "settling" else self._luck.randrange(len(ask.buckets))
        return Grant(granted, delay, wait, reason, place)


async def live(line: Scheduler, luck: random.Random) -> Any:
    """One call from its arrival to its end; some lose patience, some keep their place a while."""
    others = [CHAT(luck.randrange(6), at_once=luck.randrange(3)) for _ in range(luck.randrange(3))]
    call = job(
        luck.choice((MANY, MANY, SECOND, MINUTE)),
        *{bucket.key: bucket for bucket in others}.values(),
        left=luck.choice((0.03, 0.5, 5.0, 60.0)),
        sequence=luck.choice((None, luck.randrange(5))),
    )
    turn = await line.turn(
        call,
        luck.choice(LANES),
        producer=luck.choice(("a", "b", "c", None)),
        moved=luck.random() < 0.2,
    )
    try:
        await asyncio.sleep(luck.choice((0, 0.002, 0.01)))
    finally:
        line.finished(call, turn)
    return turn


@pytest.mark.parametrize("seed", range(6))
async def test_everyone_gets_one_end_and_every_place_comes_back(seed: int) -> None:
    luck = random.Random(seed)
    limiter, backlog = Moody(luck), Backlog()
    line = Scheduler(limiter, cap=8, backlog=backlog)
    tasks = []
    for _ in range(400):
        tasks.append(asyncio.create_task(live(line, luck)))
        if luck.random() < 0.3:
            await asyncio.sleep(0.002)
        if luck.random() < 0.1:
            luck.choice(tasks).cancel()
        if luck.random() < 0.05:
            backlog.seen(MANY.key, luck.choice(LANES), luck.randrange(3))
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    kinds = Counter(type(end) for end in ends)
    assert set(kinds) <= set(ENDS), kinds
    await eventually(lambda: not line._lines)
    turns = [end for end in ends if isinstance(end, Turn)]
    assert 0 < len(turns) <= limiter.permits
    assert sorted(limiter.released) == sorted(limiter.holders)
    assert not +line._held
    assert line.held() == {}
