"""What the tests of the limiter share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from gateway.limits.buckets import Bucket, bucket_of
from gateway.limits.grant import Ask, Grant
from gateway.limits.limiter import Limiter
from schemas.apis import parse_windows
from schemas.names import Lane

MakeLimiter = Callable[..., Awaitable[Limiter]]


def bucket(limits: str, name: str = "GET /x") -> Bucket:
    """A bucket with limits as operators write them."""
    return bucket_of("default", None, name, parse_windows(limits))


async def take(
    limiter: Limiter, bucket: Bucket, want: int, lane: Lane = "interactive", holder: str = ""
) -> Grant:
    """Ask for permits of one bucket."""
    [grant] = await limiter.acquire([Ask((bucket,), want, lane, holder)])
    return grant


async def refuse(limiter: Limiter, bucket: Bucket, seconds: float) -> None:
    """Feishu refused what was sent just now."""
    await limiter.rejected(bucket, seconds, time.monotonic())


class Traffic:
    """Permits used, and from when on they held."""

    def __init__(self) -> None:
        self.used: list[tuple[float, int]] = []

    @property
    def total(self) -> int:
        return sum(permits for _, permits in self.used)

    async def saturate(
        self, limiter: Limiter, bucket: Bucket, seconds: float, want: int = 16
    ) -> None:
        """Ask for permits whenever asking makes sense, and use each at once."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            grant = await take(limiter, bucket, want)
            if grant.granted:
                self.used.append((time.monotonic() + grant.delay, grant.granted))
            await asyncio.sleep(min(grant.wait, end - now))

    def most_within(self, seconds: float) -> int:
        """The most permits used in any so many seconds."""
        return max(
            sum(permits for at, permits in self.used if end - seconds < at <= end)
            for end, _ in self.used
        )


async def until(condition: Callable[[], bool], seconds: float = 5) -> float:
    """Wait until it holds; return how long that took."""
    begun = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return time.monotonic() - begun
