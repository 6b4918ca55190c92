"""A limiter that gives what a test tells it to give: the scheduler's input."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant, Reason


class Doled:
    """Answers one ask after the other with what it was told to give, then with all asked for.

    `closed` buckets have nothing before a time.monotonic(), and are told of before any grant is
    given out. `batches` are the calls of `acquire`, `released` the holders that came back.
    """

    def __init__(self, *grants: Grant | Exception) -> None:
        self.grants = deque(grants)
        self.closed: dict[str, float] = {}
        self.batches: list[list[Ask]] = []
        self.released: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.live_processes = 1
        self.open = asyncio.Event()
        self.open.set()

    @property
    def asked(self) -> list[tuple[str, int]]:
        """The last bucket's key and the permits wanted, of every ask so far."""
        return [(ask.buckets[-1].key, ask.want) for asks in self.batches for ask in asks]

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        self.batches.append(list(asks))
        await self.open.wait()
        self.meanwhile()
        return [self._answer(ask) for ask in asks]

    def release(self, buckets: tuple[Bucket, ...], holder: str) -> None:
        self.released.append(holder)

    def _answer(self, ask: Ask) -> Grant:
        for place, bucket in enumerate(ask.buckets):
            left = self.closed.get(bucket.key, 0.0) - time.monotonic()
            if left > 0:
                return Grant(0, 0.0, left, "window", place)
        grant = self.grants.popleft() if self.grants else Grant(ask.want, 0.0, 0.0, "")
        if isinstance(grant, Exception):
            raise grant
        return grant


def full(seconds: float, reason: Reason = "window", bucket: int = 0) -> Grant:
    return Grant(0, 0.0, seconds, reason, bucket)
