"""Gateway processes, each behind proxies of its own, started again whenever they end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from tests.chaos.ledger import Book, Ledger
from tests.chaos.proxy import Proxy

COMMAND: Final = (sys.executable, "-c", "from cli.main import main; main()")
"""`lark-service`, as it is installed."""
READY_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 0.2
_PROBE: Final = aiohttp.ClientTimeout(total=2)


class Part(StrEnum):
    """What a gateway speaks with."""

    AMQP = "amqp"
    REDIS = "redis"
    POSTGRES = "postgres"
    FEISHU = "feishu"


_VARIABLES: Final = {
    Part.AMQP: "RABBITMQ_URL",
    Part.REDIS: "REDIS_URL",
    Part.POSTGRES: "DATABASE_URL",
    Part.FEISHU: "LARK_DOMAIN",
}


class Slot:
    """A place in the fleet: one process at a time, and its proxies, which outlive it."""

    def __init__(
        self, number: int, servers: Mapping[Part, URL], settings: Mapping[str, str], ledger: Ledger
    ) -> None:
        """`servers` are where the proxies lead to; `settings` are the environment otherwise."""
        self.number = number
        self._servers = servers
        self._settings = settings
        self._ledger = ledger
        self.proxies: dict[Part, Proxy] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._asked = False
        self._staying = True
        self._generation = 0
        self._supervisor: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def pid(self) -> int | None:
        """The process id, None between two processes."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def open(self) -> None:
        """Start the proxies and the first process."""
        for part, server in self._servers.items():
            assert server.host is not None
            assert server.port is not None
            proxy = Proxy(server.host, server.port, seed=self.number)
            await proxy.open()
            self.proxies[part] = proxy
        self._supervisor = asyncio.create_task(self._supervise())

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until /readyz says so; raises TimeoutError where it does not in time."""
        async with aiohttp.ClientSession(timeout=_PROBE) as http, asyncio.timeout(seconds):
            while True:
                if self.port and await self._says_ready(http):
                    return
                await asyncio.sleep(0.05)

    def signal(self, number: signal.Signals, pid: int | None = None) -> int | None:
        """Send a signal to the process, or only if it is still this one; returns its pid."""
        process = self._process
        if process is None or process.returncode is not None or pid not in (None, process.pid):
            return None
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._asked = True
        process.send_signal(number)
        return process.pid

    async def stop(self) -> None:
        """End the process, let none follow, and close the proxies."""
        self._staying = False
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._supervisor is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._supervisor), 15)
            self.signal(signal.SIGKILL)
            await self._supervisor
        for proxy in self.proxies.values():
            await proxy.close()

    async def _supervise(self) -> None:
        while self._staying:
            log = self._ledger.folder / f"gateway-{self.number}-{self._generation}.log"
            self._generation += 1
            self._asked, self.port = False, 0
            with log.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    *(*COMMAND, "serve"),
                    env=self._environment(),
                    stdout=file,
                    stderr=file,
                )
            self._process = process
            self._tell("started", process.pid)
            reading = asyncio.create_task(self._read_port(log))
            code = await process.wait()
            reading.cancel()
            self._tell("ended", process.pid, code=code, asked=self._asked)
            if not self._asked:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _read_port(self, log: Path) -> None:
        while not self.port:
            await asyncio.sleep(0.1)
            self.port = _port(log)

    async def _says_ready(self, http: aiohttp.ClientSession) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with http.get(f"http://127.0.0.1:{self.port}/readyz") as response:
                return response.status == 200
        return False

    def _environment(self) -> dict[str, str]:
        urls = {
            _VARIABLES[part]: str(self._servers[part].with_host("127.0.0.1").with_port(proxy.port))
            for part, proxy in self.proxies.items()
        }
        return {**self._settings, **urls, "LARK_SERVICE_HEALTH_PORT": "0"}

    def _tell(self, kind: str, pid: int, **fields: object) -> None:
        self._ledger.write(Book.PROCESSES, kind=kind, slot=self.number, pid=pid, **fields)


def _port(log: Path) -> int:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.endswith("}") and '"health endpoint ready"' in line:
            return int(json.loads(line)["port"])
    return 0
