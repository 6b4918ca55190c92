"""A private Redis whose wall clock can be moved while it runs."""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
import struct
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sandbox.stack.ports import free_ports
from sandbox.stack.sources import redis_program

_SHIM = Path(__file__).with_name("clock_shim.c")
_OFFSET = struct.Struct("=q")
_START_SECONDS = 10.0


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc")


class MovedClock:
    """Starts redis-server with our shim before the C library's clock, and ends it on leaving."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lark-clock-")
        self._path = Path(self._folder.name)
        self._port = free_ports(1)[0]
        self._process: asyncio.subprocess.Process | None = None
        self._map: mmap.mmap | None = None

    @property
    def url(self) -> str:
        """Where it listens: loopback, without a password."""
        return f"redis://127.0.0.1:{self._port}/0"

    async def __aenter__(self) -> Self:
        library = await self._compile()
        offset = self._path / "offset"
        offset.write_bytes(_OFFSET.pack(0))
        with offset.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _OFFSET.size)
        shim = {"LD_PRELOAD": str(library), "LARK_CLOCK_OFFSET": str(offset)}
        settings = ("--port", str(self._port), "--bind", "127.0.0.1", "--save", "")
        self._process = await asyncio.create_subprocess_exec(
            *(str(redis_program()), *settings, "--dir", str(self._path)),
            env={"PATH": os.defpath, "LC_ALL": "C", **shim},
            stdout=asyncio.subprocess.DEVNULL,
        )
        await self._ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        if self._map is not None:
            self._map.close()
        self._folder.cleanup()

    def move(self, seconds: float) -> None:
        """Set how far its clock is from ours."""
        assert self._map is not None
        self._map[:] = _OFFSET.pack(int(seconds * 1_000_000))

    async def _compile(self) -> Path:
        library = self._path / "clock_shim.so"
        program = compiler()
        assert program is not None
        process = await asyncio.create_subprocess_exec(
            *(program, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SHIM), "-ldl")
        )
        if await process.wait():
            raise RuntimeError(f"{program} could not compile {_SHIM}")
        return library

    async def _ready(self) -> None:
        async with asyncio.timeout(_START_SECONDS), Redis.from_url(self.url) as redis:
            while True:
                try:
                    await redis.ping()
                except RedisConnectionError:
                    await asyncio.sleep(0.05)
                else:
                    return
