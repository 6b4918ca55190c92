"""Calls that wait in a line, for the tests of the lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from consumers.scheduler import Scheduler
from consumers.turns import Turn
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from schemas.apis import Window
from tests.support.builders import make_job

SECOND = Bucket("second", (Window(1, 1),), name="second")
MINUTE = Bucket("minute", (Window(60, 60),), name="minute")
MANY = Bucket("many", (Window(1000, 1),), name="many")


def CHAT(number: int, *, at_once: int = 0) -> Bucket:  # noqa: N802  one of many constants
    return Bucket(f"chat{number}", (Window(5, 1),), at_once=at_once, name="chat")


def job(*buckets: Bucket, left: float = 60.0, sequence: int | None = None) -> Job:
    made = make_job(deadline=time.time() + left)
    made.buckets = buckets or (SECOND,)
    made.sequence = sequence
    return made


def start(
    line: Scheduler,
    job: Job,
    lane: Any = "bulk",
    *,
    order: list[str] | None = None,
    name: str = "",
    **how: Any,
) -> asyncio.Task[Turn]:
    """Ask for a turn, and write the name down when it comes."""

    async def take() -> Turn:
        turn = await line.turn(job, lane, **how)
        if order is not None:
            order.append(name)
        return turn

    return asyncio.create_task(take())


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
