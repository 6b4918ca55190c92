"""Runs an alternative on the servers of an arena and sees what reaches Feishu."""

from __future__ import annotations

import asyncio
import os
import secrets

from redis.asyncio import Redis

from benchmarks.proof.calls import MESSAGES
from benchmarks.proof.fleet import Fleet

from . import arena
from .alternatives.table import ALTERNATIVES, Alternative
from .children import Children
from .figures import Sends
from .options import Options

_GRACE_SECONDS = 90.0
"""Who obeys a reset of a minute ends that much later."""


async def run(fleet: Fleet, name: str, options: Options) -> Sends:
    """What reached Feishu of one alternative, from a clean start."""
    alternative = ALTERNATIVES[name]
    async with Redis.from_url(fleet.stack.redis_url) as redis:
        await redis.flushall()
    await fleet.sandbox("reset", {})
    seconds = options.alternative_seconds
    environment = await _environment(fleet, options, alternative)
    async with Children() as children:
        if alternative.share:
            await _enqueue(environment, options)
        for _ in range(alternative.processes):
            await children.start(alternative.command, environment)
        if alternative.share:
            # A worker takes its time to start, and goes on until it is told to stop.
            await _first(fleet)
            await asyncio.sleep(seconds)
            children.check()
        else:
            await children.ended(seconds + _GRACE_SECONDS)
        return await arena.sends(fleet, MESSAGES)


async def _first(fleet: Fleet) -> None:
    """Wait for the first request."""
    async with asyncio.timeout(_GRACE_SECONDS):
        while not (await fleet.sandbox("stats"))["requests"].get(MESSAGES):  # noqa: ASYNC110  Feishu tells nobody
            await asyncio.sleep(0.1)


async def _environment(fleet: Fleet, options: Options, alternative: Alternative) -> dict[str, str]:
    longest = options.longest
    rate = longest.limit / longest.seconds * 60 / max(1, alternative.share)
    return {
        **os.environ,
        **alternative.settings,
        "FEISHU_URL": fleet.sandbox_url,
        "FEISHU_TOKEN": await arena.token(fleet),
        "REDIS_URL": fleet.stack.redis_url,
        "RABBITMQ_URL": fleet.stack.rabbitmq_url,
        "SECONDS": str(options.alternative_seconds),
        "WINDOWS": options.windows,
        "CELERY_QUEUE": f"bench-{secrets.token_hex(4)}",
        "CELERY_RATE": f"{rate:g}/m",
    }


async def _enqueue(environment: dict[str, str], options: Options) -> None:
    """More tasks than can be done in the time."""
    # Celery reads its settings when it is imported.
    from .alternatives.celery_tasks import enqueue

    longest = options.longest
    rounds = options.alternative_seconds / longest.seconds + 2
    count = int(longest.limit * rounds)
    url, queue = environment["RABBITMQ_URL"], environment["CELERY_QUEUE"]
    await asyncio.to_thread(enqueue, url, queue, count)
