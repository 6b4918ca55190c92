"""One process of the fleet: claims single permits twice and prints how many it got each time."""

from __future__ import annotations

import asyncio
import sys

from gateway.limits.limiter import Limiter
from gateway.metrics import Metrics
from gateway.redis_client import connect
from tests.integration.gateway.limits.support import bucket, take


async def main(url: str, claims: int) -> None:
    """Say `ready`, and claim when told to."""
    async with connect(url) as client:
        limiter = Limiter(client, Metrics(), settle_seconds=0, timeout=5)
        await limiter.start()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        here = bucket("80/60;50/1")
        for _ in range(2):
            grants = await asyncio.gather(*(take(limiter, here, 1) for _ in range(claims)))
            print(sum(grant.granted for grant in grants))
            await asyncio.sleep(1.6)
        await limiter.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
