"""Child processes that end when they should, or when we do."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from sandbox.stack.processes import ProcessId

END_SECONDS = 15.0


class Children:
    """Starts Python processes and ends them, with all that they started, on leaving."""

    def __init__(self) -> None:
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await asyncio.gather(*(_end(process) for process in self._processes))

    async def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run `python` with these arguments; its output is ours."""
        self._processes.append(
            await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env=environment, stdout=asyncio.subprocess.DEVNULL
            )
        )

    async def ended(self, seconds: float) -> None:
        """Wait until all have ended by themselves; raise RuntimeError for one that failed."""
        async with asyncio.timeout(seconds):
            codes = await asyncio.gather(*(process.wait() for process in self._processes))
        if any(codes):
            raise RuntimeError(f"children ended with codes {codes}")

    def check(self) -> None:
        """Raise RuntimeError when one has ended already."""
        if any(process.returncode is not None for process in self._processes):
            raise RuntimeError("a child ended before its time")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    first = ProcessId.of(process.pid)
    family = first.family() if first is not None else []
    process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    for member in family:
        member.send(signal.SIGKILL)
