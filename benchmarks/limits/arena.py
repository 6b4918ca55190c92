"""A fleet at a simulated Feishu that keeps the same limits as the site says, behind a network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import aiohttp

from benchmarks.proof.fleet import Fleet
from sandbox.feishu.limits import WindowModel
from sandbox.feishu.options import DEFAULT_APP_ID, DEFAULT_SECRET
from schemas.names import Lane, calls_queue

from .figures import Sends

TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"
_DRAIN_SECONDS = 300.0
WIDE = "1000000/1"
"""A limit that never binds."""
TAIL = {"share": 0.01, "ms": 380}
"""One request of a hundred travels up to so long."""


@asynccontextmanager
async def arena(
    limits: Mapping[str, str],
    *,
    model: WindowModel = WindowModel.SLIDING,
    network: tuple[float, float] | None = None,
    answer_ms: float = 0.0,
    enforced: bool = True,
    settings: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
) -> AsyncIterator[Fleet]:
    """Servers and a Feishu without gateways.

    Requests travel from the least to the most of *network* milliseconds, one of a hundred longer,
    and so do answers, after *answer_ms* of work. *enforced* False lets Feishu count and reject
    nothing.
    """
    options = ("--window-model", model.value)
    async with Fleet(
        site_limits=limits, sandbox_options=options, settings=settings, given=given
    ) as fleet:
        await fleet.sandbox("limits", {"apis": dict(limits), "enabled": enforced})
        latency: dict[str, Any] = {"ms": answer_ms}
        if network is not None:
            latency |= {"before_ms": network, "after_ms": network, "tail": TAIL}
        await fleet.sandbox("latency", latency)
        yield fleet


async def entries(fleet: Fleet, api: str, since: float = 0.0) -> list[dict[str, Any]]:
    """What Feishu noted of one API from a time on, oldest first."""
    method, _, template = api.partition(" ")
    answer = await fleet.sandbox("ledger", method=method, template=template, limit="200000")
    found: list[dict[str, Any]] = answer["entries"]
    return [entry for entry in found if entry["time"] >= since]


async def sends(fleet: Fleet, api: str, since: float = 0.0) -> Sends:
    """The same as times."""
    return Sends.of(await entries(fleet, api, since))


async def token(fleet: Fleet) -> str:
    """A tenant token for clients that have no token handling of their own."""
    credentials = {"app_id": DEFAULT_APP_ID, "app_secret": DEFAULT_SECRET}
    async with (
        aiohttp.ClientSession() as session,
        session.post(fleet.sandbox_url + TOKEN_PATH, json=credentials) as response,
    ):
        return str((await response.json())["tenant_access_token"])


async def emptied(fleet: Fleet, lane: Lane) -> float | None:
    """Unix time at which a lane's queue has no ready messages; None when it takes long."""
    connection = await aio_pika.connect(fleet.stack.rabbitmq_url)
    async with connection, connection.channel() as channel:
        until = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < until:
            declared = await channel.declare_queue(calls_queue("default", lane), passive=True)
            if declared.declaration_result.message_count == 0:
                return time.time()
            await asyncio.sleep(0.25)
    return None
