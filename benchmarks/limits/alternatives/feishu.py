"""What every asyncio alternative shares: one message to Feishu, and callers until time is up."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop

CALLERS = 4
"""Callers in each process."""


def message() -> dict[str, str]:
    """A message to a chat of its own."""
    chat = f"oc_{uuid.uuid4().hex}"
    return {"receive_id": chat, "msg_type": "text", "content": '{"text":"hello"}'}


async def send(session: aiohttp.ClientSession) -> float:
    """Send one message; return 0 when it was taken, else the seconds that Feishu asks to wait."""
    url = f"{os.environ['FEISHU_URL']}/open-apis/im/v1/messages?receive_id_type=chat_id"
    headers = {"Authorization": f"Bearer {os.environ['FEISHU_TOKEN']}"}
    async with session.post(url, json=message(), headers=headers) as response:
        await response.read()
        if response.status == 429:
            return float(response.headers["x-ogw-ratelimit-reset"])
        response.raise_for_status()
        return 0.0


async def _call_for(
    seconds: float, call: Callable[[aiohttp.ClientSession], Awaitable[None]]
) -> None:
    until = time.monotonic() + seconds

    async def caller() -> None:
        while time.monotonic() < until:
            await call(session)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_until(until, caller()))


async def _until(when: float, caller: Awaitable[None]) -> None:
    """Give up in the middle of a wait when time is up."""
    try:
        async with asyncio.timeout(when - time.monotonic()):
            await caller
    except TimeoutError:
        return


def run(call: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Make calls one after another, several callers at once, until time is up."""
    uvloop.run(_call_for(float(os.environ["SECONDS"]), call))
