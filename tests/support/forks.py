"""`lark-service …` as a process of its own that imports nothing: it is forked where all is there.

Importing takes a second, four times what most commands take. A test of what a start from nothing
does, of its imports above all, runs `tests.support.command.COMMAND` instead.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO

_SERVER = Path(__file__).with_name("fork_server.py")
_END_SECONDS = 10.0


class Fork:
    """A command that runs, or has run."""

    def __init__(self, pid: int, told: asyncio.StreamReader) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ending = asyncio.create_task(self._end(told))

    async def wait(self) -> int:
        """The exit code, or minus the number of the signal, once it has ended."""
        return await asyncio.shield(self._ending)

    def send_signal(self, number: int) -> None:
        """Signal the process, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    async def _end(self, told: asyncio.StreamReader) -> int:
        self.returncode = int(await told.readline() or -signal.SIGKILL)
        return self.returncode


class _Forks:
    """A process from which commands are forked."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-P", str(_SERVER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=_SERVER.parents[2],
            )

    async def start(self, request: Mapping[str, object], streams: list[int]) -> Fork:
        reading, writing = os.pipe()
        try:
            message = json.dumps(request).encode()
            socket.send_fds(self._control, [message], [*streams, writing])
        finally:
            os.close(writing)
        told = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(told), os.fdopen(reading, "rb", 0)
        )
        pid = await told.readline()
        assert pid, "the process that imports the commands has ended: its output says why"
        return Fork(int(pid), told)

    def close(self) -> None:
        self._control.close()
        self._server.wait(_END_SECONDS)


@cache
def _forks() -> _Forks:
    return _Forks()


async def fork(
    *words: str,
    env: Mapping[str, str],
    cwd: Path,
    stdout: IO[bytes],
    stderr: IO[bytes],
    stdin: IO[bytes] | None = None,
) -> Fork:
    """Run `lark-service` with these words; without *stdin* it reads nothing."""
    request = {"words": words, "environment": dict(env), "folder": str(cwd)}
    with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230 - it never waits
        streams = [file.fileno() for file in (stdin or nothing, stdout, stderr)]
        return await _forks().start(request, streams)


def end_forks() -> None:
    """End what is still there of all this; nothing when no command was run."""
    if _forks.cache_info().currsize:
        _forks().close()
        _forks.cache_clear()
