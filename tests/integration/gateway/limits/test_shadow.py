"""Without enforcing, the answers of a Feishu tell in which way it counts."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import aiohttp
from structlog.testing import capture_logs

from gateway.limits.buckets import bucket_of
from gateway.limits.grant import Ask
from gateway.limits.protocol import Limits
from gateway.limits.shadow_limiter import ObservingLimiter
from gateway.metrics import Metrics
from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET, Options, SandboxFeishu
from sandbox.feishu.limits import WindowModel
from schemas.apis import parse_windows

TOKEN = "/open-apis/auth/v3/tenant_access_token/internal"
APIS = {
    "5/1": ("GET /open-apis/contact/v3/users/:user_id", "/open-apis/contact/v3/users/ou_a"),
    "50/1": ("GET /open-apis/bot/v3/info", "/open-apis/bot/v3/info"),
}
SECONDS = 9.0


async def _call(
    limiter: Limits, http: aiohttp.ClientSession, tier: str, headers: dict[str, str]
) -> None:
    name, path = APIS[tier]
    bucket = bucket_of("default", None, name, parse_windows(tier))
    [grant] = await limiter.acquire([Ask((bucket,))])
    assert (grant.granted, grant.delay, grant.wait) == (1, 0.0, 0.0)
    sent = time.monotonic()
    async with http.get(path, headers=headers) as response:
        await response.read()
    if response.status == 429:
        await limiter.rejected(bucket, float(response.headers["x-ogw-ratelimit-reset"]), sent)
    else:
        limiter.accepted((bucket,), sent)


async def _bursts(
    limiter: Limits, http: aiohttp.ClientSession, tier: str, headers: dict[str, str]
) -> None:
    """One and a half of what the limit allows, in bursts of all lengths."""
    rate = 1.5 * parse_windows(tier)[0].limit
    chance, calls = random.Random(tier), set()
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        pause = chance.uniform(0.1, 1.2)
        count = max(2, int(rate * pause))
        for _ in range(count):
            calls.add(asyncio.create_task(_call(limiter, http, tier, headers)))
            await asyncio.sleep(pause / count * chance.choice((0.1, 0.5)))
        await asyncio.sleep(pause * chance.uniform(0.3, 1))
    await asyncio.gather(*calls)


async def _observe(model: WindowModel) -> tuple[ObservingLimiter, Metrics]:
    """Who watched some traffic at a Feishu of this model."""
    overrides = {name: tier for tier, (name, _) in APIS.items()}
    server = SandboxFeishu(Options(window_model=model, overrides=overrides))
    await server.start()
    metrics = Metrics()
    limiter = ObservingLimiter(metrics)
    await limiter.start()
    async with aiohttp.ClientSession(server.url) as http:
        app = {"app_id": DEFAULT_APP_ID, "app_secret": DEFAULT_SECRET}
        async with http.post(TOKEN, json=app) as response:
            token = (await response.json())["tenant_access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        await asyncio.gather(*(_bursts(limiter, http, tier, headers) for tier in APIS))
    await server.stop()
    return limiter, metrics


async def _told(limiter: ObservingLimiter) -> dict[str, dict[str, Any]]:
    """The last log line of each tier."""
    with capture_logs() as logs:
        await limiter.close()
    return {line["tier"]: dict(line) for line in logs}


async def test_the_model_of_the_simulated_feishu_comes_out_best() -> None:
    observed = await asyncio.gather(*map(_observe, WindowModel))
    for model, (limiter, metrics) in zip(WindowModel, observed, strict=True):
        told = await _told(limiter)
        for tier in APIS:
            line = told[tier]
            assert line["event"] == "limits_observed"
            assert line["rejections"] > 10, line
            assert line["fits"] == str(model), line
            assert line["asked"] == line["calls"]
            assert line["would_wait"] + line["would_pause"] > 0
            count = metrics.registry.get_sample_value(
                "lark_service_limit_shadow_total", {"tier": tier, "verdict": "rejected"}
            )
            assert count == line["rejections"]
