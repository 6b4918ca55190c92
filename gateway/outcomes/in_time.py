"""A time limit that does not count the time in which this process slept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_OWN_SECONDS, _PERIODS = 0.02, 4
"""Who looks so much too late whether an answer is there blames itself, some times."""


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError after so many seconds in which this process was awake."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        periods = _PERIODS
        due = loop.time() + seconds
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal due, periods, timer
            if loop.time() - due > _OWN_SECONDS and periods:
                # It slept through the moment itself: the answer may have come since.
                periods -= 1
                due = loop.time() + seconds
                timer = loop.call_at(due, look)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_at(due, look)
        try:
            yield
        finally:
            timer.cancel()
