"""Private servers, a simulated Feishu, gateways behind proxies, a producer and a collector."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from yarl import URL

from sandbox.feishu import DEFAULT_SECRET
from sandbox.stack import Stack, StackError
from tests.chaos.calls import APPS, LIMITS, REPLIES, Call, Reply, draw
from tests.chaos.feishu import Feishu, Witness, simulated_feishu
from tests.chaos.gateways import COMMAND, Part, Slot
from tests.chaos.ledger import Ledger
from tests.chaos.producers import Collector, Producer

_OWN: Final = ("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_", "POSTGRES_", "API_TIMEOUT", "LOG_LEVEL")
_BEHIND_SECONDS: Final = 0.5
_TWICE: Final = 0.02
"""The share of calls that are published twice under their id."""
API_TIMEOUT: Final = "8"


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered: calls a second, for so long and while faults strike, but only so many."""

    rate: float
    seconds: float
    calls: int
    replies: tuple[Reply, ...] = REPLIES
    timeouts: tuple[int, ...] = (5, 20, 60)


@dataclass(slots=True)
class World:
    """Everything of one run, to be worked and broken from outside."""

    run: str
    seed: int
    ledger: Ledger
    stack: Stack
    feishu: Feishu
    witness: Witness
    app_secrets: Mapping[str, str]
    settings: Mapping[str, str]
    slots: list[Slot] = field(default_factory=list)
    unheard: dict[str, Call] = field(default_factory=dict)
    """Confirmed calls with a reply address that nothing was heard of yet."""
    producer: Producer = field(init=False)
    collector: Collector = field(init=False)
    offered: int = 0

    def heard(self, call_id: str) -> None:
        """Something was heard of a call."""
        self.unheard.pop(call_id, None)

    async def offer(self, load: Load, struck: asyncio.Event) -> None:
        """Publish the mix at a steady rate while connected; `struck`: no fault is left."""
        random_ = random.Random(self.seed)
        due = time.monotonic()
        end = due + load.seconds
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, load.calls + 1):
                await self.producer.connected()
                # What could not be published while nobody was connected is not made up for.
                due = max(due + 1 / load.rate, time.monotonic() - _BEHIND_SECONDS)
                if due > end and struck.is_set():
                    return
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                call = draw(random_, self.run, self.seed, number, load.replies, load.timeouts)
                self.offered = number
                tasks.create_task(self.publish(call))
                if random_.random() < _TWICE:
                    tasks.create_task(self.publish(call))

    async def publish(self, call: Call, *, reply: str = "") -> None:
        """Publish one call, and wait for its reply from then on."""
        if call.reply != "none":
            self.unheard[call.id] = call
        if not await self.producer.publish(call, reply=reply):
            self.unheard.pop(call.id, None)

    async def restart(self, server: str) -> None:
        """Stop a server and start it again with its data."""
        own = {
            "rabbitmq": self.stack.rabbitmq,
            "redis": self.stack.redis,
            "postgres": self.stack.postgres,
        }
        await asyncio.to_thread(own[server].restart)

    async def queues(self) -> dict[str, int]:
        """The messages, ready or unacked, of every queue."""
        control = self.stack.rabbitmq.control
        with suppress(StackError):
            arguments = ("--no-table-headers", "list_queues", "name", "messages")
            text = await asyncio.to_thread(control, *arguments)
            rows = (line.split() for line in text.splitlines())
            return {row[0]: int(row[1]) for row in rows if len(row) == 2}
        return {"(the broker does not say)": 1}

    def heal(self) -> None:
        """Have nothing befall any connection any more."""
        for slot in self.slots:
            for proxy in slot.proxies.values():
                proxy.heal()


@asynccontextmanager
async def opened_world(
    folder: Path, seed: int, gateways: int, settings: Mapping[str, str]
) -> AsyncIterator[World]:
    """Start everything and wait until it serves; the ledger and all logs are in the folder."""
    app_secrets = {alias: secrets.token_hex(16) for alias in APPS} | {"default": DEFAULT_SECRET}
    async with AsyncExitStack() as closing:
        ledger = Ledger(folder)
        closing.callback(ledger.close)
        stack = Stack(folder / "stack", given={})
        closing.push_async_callback(asyncio.to_thread, stack.stop, purge=True)
        apps = [(app_id, app_secrets[alias]) for alias, app_id in APPS.items()]
        feishu, _ = await asyncio.gather(
            closing.enter_async_context(simulated_feishu(apps)), asyncio.to_thread(stack.start)
        )
        witness = Witness(feishu, ledger)
        run = f"c{secrets.token_hex(3)}"
        world = World(run, seed, ledger, stack, feishu, witness, app_secrets, settings)
        await _open_gateways(world, closing, gateways)
        await _open_clients(world, closing)
        _in_background(closing, world.witness.watch())
        yield world
        await witness.look()


async def _open_gateways(world: World, closing: AsyncExitStack, count: int) -> None:
    stack, environment = world.stack, _environment(world)
    servers = {
        Part.AMQP: URL(stack.rabbitmq_url),
        Part.REDIS: URL(stack.redis_url),
        Part.POSTGRES: URL(stack.database_url),
        Part.FEISHU: URL(world.feishu.url),
    }
    for number in range(count):
        slot = Slot(number, servers, environment, world.ledger)
        closing.push_async_callback(slot.stop)
        await slot.open()
        world.slots.append(slot)
    await asyncio.gather(*(slot.ready() for slot in world.slots))
    await asyncio.gather(*(_add(alias, world, environment) for alias in APPS if alias != "default"))


async def _open_clients(world: World, closing: AsyncExitStack) -> None:
    world.collector = Collector(world.stack.rabbitmq_url, world.ledger, world.heard)
    world.producer = Producer(world.stack.rabbitmq_url, world.ledger, world.heard)
    for client in (world.collector, world.producer):
        closing.push_async_callback(client.close)
        await client.open()


async def _add(alias: str, world: World, environment: Mapping[str, str]) -> None:
    """Add an app as an operator does; its requests go to Feishu past the proxies."""
    command = (*COMMAND, "app", "add", alias, "--app-id", APPS[alias])
    process = await asyncio.create_subprocess_exec(
        *(*command, "--secret-file", "-", "--no-validate"),
        env={**environment, **world.stack.environment(), "LARK_DOMAIN": world.feishu.url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, problem = await process.communicate(world.app_secrets[alias].encode())
    assert process.returncode == 0, problem.decode()


def _environment(world: World) -> dict[str, str]:
    limits = world.ledger.folder / "limits.toml"
    lines = (f'"{api}" = "{windows}"' for api, windows in LIMITS.items())
    limits.write_text("\n".join(["[limits]", *lines, ""]), encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    return {
        **inherited,
        **world.stack.environment(),
        "LARK_APP_ID": APPS["default"],
        "LARK_APP_SECRET": world.app_secrets["default"],
        "LARK_SERVICE_LIMITS_FILE": str(limits),
        "LARK_SERVICE_MAX_PROCESSES": "4",
        "LARK_SERVICE_DRAIN_TIMEOUT": "5",
        "API_TIMEOUT": API_TIMEOUT,
        **world.settings,
    }


def _in_background(closing: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    closing.push_async_callback(end)


async def settled(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; False when it did not come about in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


def pids(slots: Sequence[Slot]) -> dict[str, int]:
    """The living processes by the number of their slot."""
    return {str(slot.number): slot.pid for slot in slots if slot.pid is not None}
