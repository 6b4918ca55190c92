"""Real servers, a simulated Feishu, a gateway, and the next one, which waits at RabbitMQ's door."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import redis.asyncio as aioredis
from yarl import URL

from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET, Options, SandboxFeishu
from sandbox.stack import Stack
from tests.support.forks import Fork, end_forks, fork
from tests.support.producer import Producer

from .steps_network import WatchedProxy, pass_on

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
TENANT_TOKEN = "/open-apis/auth/v3/tenant_access_token/internal"
_WIDE = "1000000/1"
NARROW_API = "POST /open-apis/im/v1/chats/:chat_id/link"
NARROW, NARROW_SECONDS = 10, 5.0
_LIMITS = {
    "GET /open-apis/contact/v3/users/:user_id": _WIDE,
    "PUT /open-apis/im/v1/chats/:chat_id": _WIDE,
    "POST /open-apis/im/v1/messages": _WIDE,
    "POST /open-apis/im/v1/chats/:chat_id/members": _WIDE,
    NARROW_API: f"{NARROW}/{NARROW_SECONDS:g}",
}
_OURS = ("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_", "POSTGRES_", "API_TIMEOUT", "LOG_LEVEL")


class Instance:
    """One gateway process with proxies of its own; nothing but signals and its wires is touched."""

    def __init__(self, amqp: WatchedProxy, redis: WatchedProxy, log: Path) -> None:
        self.amqp, self.redis = amqp, redis
        self.log = log
        self._process: Fork | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, environment: dict[str, str]) -> None:
        """Start the process."""
        # Forked, since importing takes longer than dying and all that follows it.
        with self.log.open("wb") as log:
            self._process = await fork("serve", env=environment, cwd=ROOT, stdout=log, stderr=log)

    def admit(self) -> None:
        """Let it connect to RabbitMQ."""
        self.amqp.admits.set()

    async def ready(self) -> None:
        """Wait until it takes calls."""
        await until(self._takes_calls, READY_SECONDS, what=lambda: f"a gateway, see {self.log}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def ended(self, within: float = 60) -> int:
        """Wait for its end; returns the exit code, negative where a signal ended it.

        Raises LateError where it does not come.
        """
        assert self._process is not None
        try:
            async with asyncio.timeout(within):
                return await self._process.wait()
        except TimeoutError:
            raise LateError(f"the end of a process, see {self.log},") from None

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone, and its connections with it."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            await self._process.wait()
        await self.amqp.close()
        await self.redis.close()

    def _takes_calls(self) -> bool:
        text = self.log.read_text(encoding="utf-8")
        if not self.running:
            raise RuntimeError(f"The gateway ended: {text[-2000:]}")
        return "lark.calls." in text


class World:
    """One site: a vhost, a Redis database, a Postgres database and a Feishu, and who serves it."""

    def __init__(self, folder: Path, urls: dict[str, str], feishu: SandboxFeishu) -> None:
        self._folder = folder
        self._urls = urls
        self._numbers = count()
        self.feishu = feishu
        self.feishu_wire = WatchedProxy("127.0.0.1", URL(feishu.url).port or 0)
        self.instances: list[Instance] = []
        self.producer: Producer

    @property
    def victim(self) -> Instance:
        """The process that takes calls."""
        return self.instances[0]

    @property
    def secrets(self) -> list[str]:
        """What no message may tell: the app's secret, and the tokens of Feishu's last requests."""
        headers = (pair for one in self.feishu.world.ledger.captures for pair in one.headers)
        tokens = {
            value.decode().removeprefix("Bearer ")
            for name, value in headers
            if name.lower() == b"authorization"
        }
        return [DEFAULT_SECRET, *tokens]

    @property
    def urls(self) -> Mapping[str, str]:
        """Where the servers are, by the names of their settings."""
        return self._urls

    async def open(self) -> None:
        """Start the first process and a producer."""
        await self.feishu_wire.open()
        first = await self.prepare()
        first.admit()
        await first.ready()
        self.producer = await Producer.open(self._urls["RABBITMQ_URL"])

    async def close(self) -> None:
        """End every process."""
        await asyncio.gather(*(instance.kill() for instance in self.instances))
        if hasattr(self, "producer"):
            await self.producer.close()
        await self.feishu_wire.close()

    async def prepare(self) -> Instance:
        """Start a process that is let in to RabbitMQ later: starting takes longer than dying."""
        amqp, redis = self._wire("RABBITMQ_URL"), self._wire("REDIS_URL")
        amqp.admits.clear()
        await amqp.open()
        await redis.open()
        instance = Instance(amqp, redis, self._folder / f"gateway-{next(self._numbers)}.log")
        await instance.start(self._environment(amqp.port, redis.port))
        self.instances.append(instance)
        return instance

    async def have_successor(self) -> None:
        """Start the next process, unless there is one."""
        if len(self.instances) < 2:
            await self.prepare()

    async def succeed(self) -> None:
        """Kill the process that takes calls; the next one takes its place."""
        await self.have_successor()
        victim = self.instances.pop(0)
        await victim.kill()
        self.feishu_wire.rule = pass_on
        self.victim.admit()

    async def forget_tokens(self) -> None:
        """Take every token out of the stores, and away from who holds one."""
        async with aioredis.Redis.from_url(self._urls["REDIS_URL"]) as client:
            keys = [key async for key in client.scan_iter("lark:token:*")]
            if keys:
                await client.delete(*keys)
        connection = await asyncpg.connect(self._urls["DATABASE_URL"])
        await connection.execute("TRUNCATE tokens")
        await connection.close()
        self.feishu.world.tokens.revoke()

    def _wire(self, name: str) -> WatchedProxy:
        url = URL(self._urls[name])
        assert url.host is not None
        assert url.port is not None
        return WatchedProxy(url.host, url.port)

    def _environment(self, amqp_port: int, redis_port: int) -> dict[str, str]:
        limits = self._folder / "limits.toml"
        lines = [f'"{api}" = "{windows}"' for api, windows in _LIMITS.items()]
        limits.write_text("\n".join(["[limits]", *lines, ""]), encoding="utf-8")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
        return {
            **inherited,
            "LARK_APP_ID": DEFAULT_APP_ID,
            "LARK_APP_SECRET": DEFAULT_SECRET,
            "LARK_DOMAIN": f"http://127.0.0.1:{self.feishu_wire.port}",
            "LARK_SERVICE_LIMITS_FILE": str(limits),
            "LARK_SERVICE_HEALTH_PORT": "0",
            "RABBITMQ_URL": str(URL(self._urls["RABBITMQ_URL"]).with_port(amqp_port)),
            "REDIS_URL": str(URL(self._urls["REDIS_URL"]).with_port(redis_port)),
            "DATABASE_URL": self._urls["DATABASE_URL"],
        }


@asynccontextmanager
async def open_worlds(number: int) -> AsyncIterator[list[World]]:
    """So many worlds on one private stack."""
    async with AsyncExitStack() as stack:
        folder = _folder()
        stack.callback(_forget, folder)
        stack.callback(end_forks)
        servers = Stack(folder / "stack", given={})
        stack.callback(servers.stop, purge=True)
        await asyncio.to_thread(servers.start)
        names = [f"steps-{index}" for index in range(number)]
        await asyncio.to_thread(servers.rabbitmq.create_vhosts, names)
        worlds = []
        for index, name in enumerate(names):
            feishu = SandboxFeishu(Options(limits=False, chat_limit=None))
            await feishu.start()
            stack.push_async_callback(feishu.stop)
            place = folder / name
            place.mkdir()
            urls = await _places(servers, index, name)
            world = World(place, urls, feishu)
            stack.push_async_callback(world.close)
            await world.open()
            worlds.append(world)
        yield worlds


def _forget(folder: Path) -> None:
    # Where the run broke down the gateways' logs tell why.
    if sys.exc_info()[0] is None:
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    # The servers may run as another user, who has to get to what is theirs below it.
    folder = Path(tempfile.mkdtemp(prefix="lark-steps-"))
    folder.chmod(0o755)
    return folder


async def _places(servers: Stack, index: int, name: str) -> dict[str, str]:
    database = f"steps_{index}_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(servers.database_url)
    await connection.execute(f"CREATE DATABASE {database}")
    await connection.close()
    return {
        "RABBITMQ_URL": servers.rabbitmq.vhost_url(name),
        "REDIS_URL": f"{servers.redis_url.rpartition('/')[0]}/{index + 1}",
        "DATABASE_URL": f"{servers.database_url.rpartition('/')[0]}/{database}",
    }


class LateError(Exception):
    """What was waited for did not come about."""


async def until(
    condition: Callable[[], Any], seconds: float, *, what: Callable[[], str] = lambda: "it"
) -> None:
    """Return when the condition holds; raise LateError when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LateError(f"{what()} did not come about within {seconds:g} s")
        await asyncio.sleep(0.003)
