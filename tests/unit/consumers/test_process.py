"""How the parts of a process come to their end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from consumers.process import end


async def test_a_task_that_swallows_a_cancel_is_cancelled_again() -> None:
    async def deaf() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.sleep(0)
    await end(tasks)
    assert tasks[0].cancelled()
    assert tasks[1].done()
