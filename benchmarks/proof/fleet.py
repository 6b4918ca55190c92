"""A private stack, a simulated Feishu and gateway processes, worked and broken from outside."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from itertools import count as numbers
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from sandbox.feishu.options import DEFAULT_APP_ID, DEFAULT_SECRET
from sandbox.stack import Stack

COMMAND = "from cli.main import main; main()"
READY_SECONDS = 90.0
_COLUMNS = ("name", "messages")


class Gateway:
    """One `lark-service serve` as a child process; its log goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None

    async def ready(self) -> None:
        """Wait until it consumes the apps' queues."""
        async with asyncio.timeout(READY_SECONDS):
            while "lark.calls." not in self.log.read_text(encoding="utf-8"):
                if self._process.returncode is not None:
                    raise RuntimeError(self.log.read_text(encoding="utf-8"))
                await asyncio.sleep(0.05)

    async def metrics(self) -> str:
        """What /metrics says."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        ports = [json.loads(line)["port"] for line in lines if '"health endpoint ready"' in line]
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{ports[-1]}/metrics") as response,
        ):
            return await response.text()

    async def kill(self) -> None:
        """SIGKILL."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """SIGTERM; returns the exit code once it has drained."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._process.wait()


class Fleet:
    """Starts everything, and stops what it started."""

    def __init__(
        self,
        *,
        site_limits: Mapping[str, str] | None = None,
        sandbox_options: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """`given` names servers by URL that are used instead of private ones, as REDIS_URL."""
        self._folder = Path(tempfile.mkdtemp(prefix="lark-proof-"))
        self._folder.chmod(0o755)
        self.stack = Stack(self._folder / "stack", given=given or {})
        self._site_limits = site_limits or {}
        self._sandbox_options = sandbox_options
        self._settings = settings or {}
        self._sandbox: asyncio.subprocess.Process | None = None
        self.sandbox_url = ""
        self._http: aiohttp.ClientSession | None = None
        self.gateways: list[Gateway] = []
        self._numbers = numbers()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.stack.start)
        self._sandbox = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sandbox.feishu",
            *self._sandbox_options,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._sandbox.stdout is not None
        line = (await self._sandbox.stdout.readline()).decode()
        self.sandbox_url = line.split()[-1]
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.kill_gateways()
        if self._sandbox is not None:
            self._sandbox.terminate()
            await self._sandbox.wait()
        if self._http is not None:
            await self._http.close()
        await asyncio.to_thread(self.stack.stop, purge=True)
        if kind is None:
            # Where something failed the logs tell why.
            shutil.rmtree(self._folder)

    async def start_gateway(self, **settings: str) -> Gateway:
        """Start one process and wait until it consumes."""
        log = self._folder / f"gateway-{next(self._numbers)}.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                COMMAND,
                "serve",
                env=self._environment() | settings,
                stderr=file,
            )
        gateway = Gateway(process, log)
        self.gateways.append(gateway)
        await gateway.ready()
        return gateway

    async def start_gateways(self, count: int, **settings: str) -> list[Gateway]:
        """Start several side by side and wait until all consume."""
        return list(await asyncio.gather(*(self.start_gateway(**settings) for _ in range(count))))

    async def kill_gateways(self) -> None:
        """SIGKILL all that run."""
        await asyncio.gather(*(gateway.kill() for gateway in self.gateways))

    async def add_producers(self, count: int) -> list[str]:
        """Make users of their own on RabbitMQ; return the URLs with which they connect."""
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        names = [f"producer-{number}" for number in range(count)]
        password = secrets.token_hex(8)
        definitions = {
            "users": [{"name": name, "password": password, "tags": ""} for name in names],
            "permissions": [{"user": name, "vhost": "/", **everything} for name in names],
        }
        control = self.stack.rabbitmq.control
        await asyncio.to_thread(control, "import_definitions", stdin=json.dumps(definitions))
        url = URL(self.stack.rabbitmq_url)
        return [str(url.with_user(name).with_password(password)) for name in names]

    async def queues(self) -> dict[str, int]:
        """The messages, ready or unacked, of every queue of the gateway's."""
        control = self.stack.rabbitmq.control
        text = await asyncio.to_thread(control, "--no-table-headers", "list_queues", *_COLUMNS)
        rows = (line.split() for line in text.splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[0].startswith("lark.")}

    def _environment(self) -> dict[str, str]:
        limits = self._folder / "limits.toml"
        entries = [f'"{name}" = "{windows}"\n' for name, windows in self._site_limits.items()]
        limits.write_text("[limits]\n" + "".join(entries), encoding="utf-8")
        return {
            **os.environ,
            **self.stack.environment(),
            "LARK_APP_ID": DEFAULT_APP_ID,
            "LARK_APP_SECRET": DEFAULT_SECRET,
            "LARK_DOMAIN": self.sandbox_url,
            "LARK_SERVICE_LIMITS_FILE": str(limits),
            "LARK_SERVICE_HEALTH_PORT": "0",
            **self._settings,
        }

    async def sandbox(self, name: str, body: Any = None, **query: str) -> Any:
        """Read or change the simulated Feishu: a body is posted, without one it is read."""
        assert self._http is not None
        url = f"{self.sandbox_url}/_sandbox/{name}"
        method = "GET" if body is None else "POST"
        async with self._http.request(method, url, json=body, params=query) as response:
            text = await response.text()
            if response.status != 200:
                raise RuntimeError(text)
            return json.loads(text) if text else None
