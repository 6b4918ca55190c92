"""A limiter that gives what a test tells it to give: the scheduler's input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.limits.buckets import Bucket
from gateway.limits.grant import Grant


class Doled:
    """Gives what it was told to give, then all that is asked for."""

    def __init__(self, *grants: Grant | Exception) -> None:
        self.grants = list(grants)
        self.asked: list[tuple[str, int]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.open = asyncio.Event()
        self.open.set()

    async def acquire(self, bucket: Bucket, want: int) -> Grant:
        self.asked.append((bucket.key, want))
        await self.open.wait()
        self.meanwhile()
        grant = self.grants.pop(0) if self.grants else Grant(want, 0.0, 0.0, "")
        if isinstance(grant, Exception):
            raise grant
        return grant


def full(seconds: float) -> Grant:
    return Grant(0, 0.0, seconds, "window")
