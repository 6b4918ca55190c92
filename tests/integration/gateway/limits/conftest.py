"""Limiters on a real Redis, each as if it were a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.limits.limiter import Limiter
from gateway.metrics import Metrics
from gateway.redis_client import connect
from tests.integration.gateway.limits.support import MakeLimiter


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Redis]:
    """The Redis that limiters share, without a key."""
    async with connect(redis_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def make_limiter(redis_url: str, store: Redis) -> AsyncIterator[MakeLimiter]:
    """Start limiters with connections of their own; they do not settle unless told to."""
    async with AsyncExitStack() as stack:

        async def make(
            settle_seconds: float = 0.0, metrics: Metrics | None = None, **options: Any
        ) -> Limiter:
            client = await stack.enter_async_context(connect(redis_url))
            metrics = metrics or Metrics()
            # A stalled machine is no store that is away.
            options = {"timeout": 2.0, "settle_seconds": settle_seconds} | options
            limiter = Limiter(client, metrics, **options)
            stack.push_async_callback(limiter.close)
            await limiter.start()
            return limiter

        yield make
