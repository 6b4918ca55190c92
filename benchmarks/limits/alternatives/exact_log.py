"""Our own limiter without the gateway around it: no RabbitMQ, no lines, the same Redis script."""

from __future__ import annotations

import asyncio
import os
import time

import aiohttp

from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from gateway.limits.limiter import Limiter
from gateway.metrics import Metrics
from gateway.redis_client import connect

from .feishu import run, send
from .windows import windows


class Client:
    """Callers of one process, each asking for a permit of its own."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._limiter: Limiter | None = None
        self._starting = asyncio.Lock()

    async def call(self, session: aiohttp.ClientSession) -> None:
        """Send one message at its time; a rejection pauses the bucket in all processes."""
        limiter = await self._started()
        buckets = (self._bucket,)
        grant = (await limiter.acquire([Ask(buckets)]))[0]
        await asyncio.sleep(grant.delay if grant.granted else grant.wait)
        if not grant.granted:
            return
        sent_at = time.monotonic()
        reset = await send(session)
        if reset:
            await limiter.rejected(self._bucket, reset, sent_at)
        else:
            limiter.accepted(buckets, sent_at)

    async def _started(self) -> Limiter:
        async with self._starting:
            if self._limiter is None:
                self._limiter = Limiter(connect(os.environ["REDIS_URL"]), Metrics())
                await self._limiter.start()
            return self._limiter


def main() -> None:
    """Send until time is up."""
    run(Client(Bucket("bench|messages", windows(), name="messages")).call)


if __name__ == "__main__":
    main()
