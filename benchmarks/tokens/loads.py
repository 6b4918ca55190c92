"""Calls of many apps in turn, what became of them, and tokens that are revoked meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence

from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Line, Producer

EVERY_SECONDS = 0.05
_DEPTH = 400


async def standing(producer: Producer, aliases: Sequence[str], count: int) -> list[Line]:
    """Make so many calls, some hundred unanswered at a time."""
    tasks: list[asyncio.Task[Line]] = []
    for number in range(count):
        while producer.waiting >= _DEPTH:  # noqa: ASYNC110  answers come by the thousand
            await asyncio.sleep(0.005)
        alias = aliases[number % len(aliases)]
        tasks.append(asyncio.create_task(producer.call(calls.read_user(), app=alias)))
        # So that the next look at who waits counts this one.
        await asyncio.sleep(0)
    return list(await asyncio.gather(*tasks))


async def revoke(fleet: Fleet, app_ids: Sequence[str]) -> int:
    """Revoke the token of an app drawn at random every 50 ms, until cancelled; say how many."""
    random_, revoked = random.Random(1), 0
    try:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            app_id = random_.choice(app_ids)
            revoked += (await fleet.sandbox("revoke", {"app_id": app_id}))["revoked"]
    except asyncio.CancelledError:
        return revoked


def failures(lines: Iterable[Line]) -> Counter[str]:
    """How many calls ended in each error, by its type and Feishu's code, or had no answer."""
    counted: Counter[str] = Counter()
    for line in lines:
        error = line.replies[0]["error"] if line.replies else {"type": line.outcome}
        if error is not None:
            counted[" ".join(str(error[name]) for name in ("type", "code") if name in error)] += 1
    return counted
