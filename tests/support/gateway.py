"""The installed gateway as a process of its own, between private servers and a simulated Feishu."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET, Options, SandboxFeishu
from tests.support.forks import Fork, fork
from tests.support.waiting import eventually

READY_SECONDS = 20.0


class Gateway:
    """One `lark-service serve`; `folder` holds its log. It may be killed and started again."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.log = folder / "gateway.log"
        self._environment = environment
        self._process: Fork | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        """The process id; fails where no process runs."""
        assert self._process is not None
        assert self._process.returncode is None, self.log.read_text(encoding="utf-8")
        return self._process.pid

    async def start(self, **settings: str) -> None:
        """Start the process and wait until it carries out calls."""
        with self.log.open("wb") as log:
            environment = {**self._environment, **settings}
            self._process = await fork(
                "serve", env=environment, cwd=Path.cwd(), stdout=log, stderr=log
            )
        await self.ready()

    async def ready(self) -> None:
        """Wait until /readyz says so."""
        await eventually(self._has_port, within=READY_SECONDS)
        async with aiohttp.ClientSession() as http, asyncio.timeout(READY_SECONDS):
            while True:
                assert self.pid
                async with http.get(f"http://127.0.0.1:{self.port}/readyz") as response:
                    if response.status == 200:
                        return
                await asyncio.sleep(0.02)

    async def metrics(self) -> str:
        """What /metrics says."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}/metrics") as response,
        ):
            return await response.text()

    async def reload(self) -> dict[str, Any]:
        """SIGHUP; returns the log line that says what became of it."""
        before = len(self._reloads)
        os.kill(self.pid, signal.SIGHUP)
        await eventually(lambda: len(self._reloads) > before)
        return self._reloads[-1]

    async def kill(self) -> None:
        """SIGKILL."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """SIGTERM; returns the exit code once the process has drained."""
        return await self._end(signal.SIGTERM)

    async def stop(self) -> None:
        """SIGTERM, so that what the process measured of itself is kept; SIGKILL if need be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self.terminate()
        await self.kill()

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry.get("event") == event]

    @property
    def _reloads(self) -> list[dict[str, Any]]:
        both = self.events("settings taken up") + self.events("settings not taken up")
        return sorted(both, key=lambda line: str(line["timestamp"]))

    def _has_port(self) -> bool:
        assert self.pid
        ready = self.events("health endpoint ready")
        self.port = ready[0]["port"] if ready else 0
        return bool(self.port)

    async def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        return await self._process.wait()


@pytest.fixture(scope="module")
async def simulated() -> AsyncIterator[SandboxFeishu]:
    """A simulated Feishu that has no limits of its own."""
    server = SandboxFeishu(Options(limits=False, chat_limit=None))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
def gateway_environment(
    simulated: SandboxFeishu, rabbitmq_url: str, redis_url: str, database_url: str
) -> dict[str, str]:
    """What a gateway of this test module has to be told."""
    own = ("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_", "POSTGRES_", "API_TIMEOUT", "LOG_LEVEL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {
        **inherited,
        "LARK_APP_ID": DEFAULT_APP_ID,
        "LARK_APP_SECRET": DEFAULT_SECRET,
        "LARK_DOMAIN": simulated.url,
        "RABBITMQ_URL": rabbitmq_url,
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "LARK_SERVICE_HEALTH_PORT": "0",
        # Most tests make calls fail on purpose, and ask what becomes of each.
        "LARK_SERVICE_RETRY_PERCENT": "100",
        "LARK_SERVICE_BREAKER_CALLS": "100000",
    }


SetLimits = Callable[[Mapping[str, str]], dict[str, str]]


@pytest.fixture(scope="module")
def set_limits(tmp_path_factory: pytest.TempPathFactory) -> SetLimits:
    """Makes a site's limits of APIs, as "5/1", the environment's."""

    def set_to(limits: Mapping[str, str]) -> dict[str, str]:
        lines = [f'"{api}" = "{windows}"' for api, windows in limits.items()]
        file = tmp_path_factory.mktemp("limits") / "limits.toml"
        file.write_text("\n".join(["[limits]", *lines, ""]), encoding="utf-8")
        return {"LARK_SERVICE_LIMITS_FILE": str(file)}

    return set_to


@pytest.fixture(scope="module")
async def gateway(
    gateway_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway that serves this test module."""
    process = Gateway(tmp_path_factory.mktemp("gateway"), gateway_environment)
    try:
        await process.start()
        yield process
    finally:
        await process.stop()


def api_requests(simulated: SandboxFeishu, since: int = 0) -> list[dict[str, Any]]:
    """What arrived at the simulated Feishu after this request, without requests for tokens."""
    entries = simulated.world.ledger.entries(since)
    return [entry for entry in entries if "/auth/v3/" not in entry["path"]]
