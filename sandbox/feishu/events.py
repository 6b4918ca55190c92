"""Posts events to the receivers of apps."""

from __future__ import annotations

import asyncio

import aiohttp

from .tickets import Push

_SECONDS = 3.0


class Events:
    """Sends in the background, each event once; a receiver that is away misses it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, pushes: list[Push]) -> None:
        """Send what is there, and take it off the list."""
        while pushes:
            task = asyncio.create_task(_post(pushes.pop(0)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _post(push: Push) -> None:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(push.url, json=push.event),
        ):
            return
    except (aiohttp.ClientError, OSError, TimeoutError):
        # Feishu would send it again; here the next ticket has to do.
        return
