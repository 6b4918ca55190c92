"""The gauges of limits show what is true now, and nothing of what is over."""

from __future__ import annotations

import time

from consumers.limit_reports import LimitReports
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from gateway.limits.limiter import Limiter
from gateway.limits.told import Told
from gateway.limits.view import LimitView
from gateway.metrics import Metrics
from gateway.redis_client import connect
from schemas.apis import Window
from schemas.names import Lane

CHATS = [Bucket(f"chat:{n}", (Window(5, 1),), name="chat") for n in range(3)]


async def test_the_gauges_follow_what_waits_is_paused_and_is_learnt(redis_url: str) -> None:
    metrics = Metrics()
    held: dict[tuple[Bucket, Lane], int] = {(CHATS[0], "bulk"): 2, (CHATS[1], "bulk"): 3}

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(
            f"lark_service_{name}", {"bucket": "chat"} | labels
        )

    async with connect(redis_url) as redis:
        limiter = Limiter(redis, metrics, settle_seconds=0.0)
        await limiter.start()
        told, view = Told(redis), LimitView(redis)
        reports = LimitReports(limiter, told, view, metrics, lambda: held, dict)
        await reports.tell()
        assert value("calls_waiting", lane="bulk") == 5
        assert (value("limit_paused"), value("limit_factor")) == (None, None)
        assert metrics.registry.get_sample_value("lark_service_limit_asks_total") == 0

        for chat, want in ((CHATS[0], 1), (CHATS[1], 1), (CHATS[2], 5)):
            await limiter.acquire([Ask((chat,), want)])
            await limiter.rejected(chat, 0.5, time.monotonic())
        held.clear()
        await reports.tell()
        assert value("calls_waiting", lane="bulk") is None
        assert value("limit_paused") == 3
        assert value("limit_factor") == 0.8
        assert 0.02 < (value("limit_margin_seconds") or 0) <= 0.025
        assert metrics.registry.get_sample_value("lark_service_limit_asks_total") == 3

        await redis.flushdb()
        for chat in CHATS:
            await limiter.rejected(chat, 0.0, time.monotonic())
        await limiter.close()
        await redis.flushdb()
        await reports.tell()
        assert (value("limit_factor"), value("limit_margin_seconds")) == (None, None)
