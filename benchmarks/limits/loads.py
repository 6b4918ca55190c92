"""Demand: as much as fits, or so many a second whatever becomes of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

from benchmarks.proof.ledger import Line, Producer
from schemas.names import Lane

Body = Callable[[], dict[str, Any]]

_BATCH = 100
_LOOK_SECONDS = 0.05


async def standing(
    producer: Producer, body: Body, *, lane: Lane, depth: int, seconds: float
) -> list[Line]:
    """Keep so many calls unanswered for so long; their deadline never binds."""
    lines: list[Line] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        missing = min(_BATCH, depth - producer.waiting)
        if missing > 0:
            lines += await producer.publish(many(body, missing), lane=lane, seconds=3600)
        else:
            await asyncio.sleep(_LOOK_SECONDS)
    return lines


async def steady(
    producer: Producer,
    body: Body,
    *,
    rate: float,
    seconds: float,
    lane: Lane = "interactive",
    deadline: float = 60,
) -> list[Line]:
    """Offer calls at random moments (Poisson), whatever becomes of them; return their lines."""
    random_ = random.Random(1)
    tasks: list[asyncio.Task[Line]] = []
    at = began = time.monotonic()
    while (at := at + random_.expovariate(rate)) < began + seconds:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        tasks.append(asyncio.create_task(producer.call(body(), lane=lane, seconds=deadline)))
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
    return list(await asyncio.gather(*tasks))


def many(body: Body, count: int) -> Iterator[dict[str, Any]]:
    """So many fresh bodies."""
    return (make() for make in repeat(body, count))


def waits(lines: list[Line]) -> list[float]:
    """Seconds to the answer of those that succeeded."""
    return [seconds for line in lines if line.outcome == "ok" and (seconds := line.seconds)]
