"""Does to a world what a schedule says, and writes down from when until when."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import redis.asyncio as aioredis

from sandbox.stack import StackError
from tests.chaos.gateways import Part
from tests.chaos.ledger import Book
from tests.chaos.nemesis import KINDS, Strike
from tests.chaos.proxy import Proxy, Way
from tests.chaos.world import World

_MEMORY: Final = ("set_vm_memory_high_watermark", "absolute")
_STARTING_SECONDS: Final = 3.0
_REQUESTS: Final = 60
"""Among so many requests a third fails."""


class Nemesis:
    """Strikes one world; faults on the same target take turns, all others may overlap."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._locks: dict[tuple[str, int], asyncio.Lock] = {}

    async def strike_all(self, strikes: Sequence[Strike]) -> None:
        """Carry out a schedule from now on, and return when the last fault is over."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for strike in strikes:
                delay = began + strike.at - asyncio.get_running_loop().time()
                await asyncio.sleep(max(0.0, delay))
                task = tasks.create_task(self._strike(strike))
                if strike.fault == "broker restarted":
                    # Without a broker there is nothing to break: the others come the later.
                    left = asyncio.get_running_loop().time()
                    await task
                    began += asyncio.get_running_loop().time() - left

    async def _strike(self, strike: Strike) -> None:
        lock = self._locks.setdefault((_target(strike.fault), strike.slot), asyncio.Lock())
        async with lock:
            self._tell("began", strike)
            try:
                await FAULTS[strike.fault](self._world, strike)
            finally:
                self._tell("ended", strike)

    def _tell(self, kind: str, strike: Strike) -> None:
        target = "all" if strike.slot < 0 else f"gateway {strike.slot}"
        bunches = KINDS[strike.fault].bunches
        self._world.ledger.write(
            Book.FAULTS, kind=kind, fault=strike.fault, target=target, bunches=bunches
        )


def _target(fault: str) -> str:
    broker = ("connections closed", "broker restarted", "memory alarm")
    return "broker" if fault in broker else fault.split(" ")[0]


async def _kill(world: World, strike: Strike) -> None:
    slot = world.slots[strike.slot]
    # One that only starts holds no call yet.
    with suppress(TimeoutError):
        await slot.ready(_STARTING_SECONDS)
    slot.signal(signal.SIGKILL)


async def _terminate(world: World, strike: Strike) -> None:
    slot = world.slots[strike.slot]
    slot.signal(signal.SIGTERM)


async def _pause(world: World, strike: Strike) -> None:
    slot = world.slots[strike.slot]
    pid = slot.signal(signal.SIGSTOP)
    await asyncio.sleep(strike.length)
    if pid is not None:
        slot.signal(signal.SIGCONT, pid)


async def _connections_closed(world: World, _: Strike) -> None:
    await _control(world, "close_all_connections", "chaos")


async def _broker_restarted(world: World, _: Strike) -> None:
    await world.restart("rabbitmq")


async def _redis_restarted(world: World, _: Strike) -> None:
    await world.restart("redis")


async def _postgres_restarted(world: World, _: Strike) -> None:
    await world.restart("postgres")


async def _memory_alarm(world: World, strike: Strike) -> None:
    await _control(world, *_MEMORY, "1")
    await asyncio.sleep(strike.length)
    await _control(world, *_MEMORY, "2GB")


async def _redis_emptied(world: World, _: Strike) -> None:
    async with aioredis.Redis.from_url(world.stack.redis_url) as client:
        with suppress(aioredis.RedisError, OSError):
            await client.flushall()


async def _tokens_revoked(world: World, _: Strike) -> None:
    await world.feishu.tell("revoke", {})


async def _feishu_fails(world: World, strike: Strike) -> None:
    random_ = random.Random(strike.seed)
    rules = [
        {"status": random_.choice((500, 502, 503, 504)), "code": 2200, "skip": skip}
        for skip in sorted(random_.sample(range(_REQUESTS), _REQUESTS // 3))
    ]
    await world.feishu.tell("faults", rules)
    await asyncio.sleep(strike.length)
    await world.feishu.forget_faults()


async def _feishu_limits(world: World, strike: Strike) -> None:
    refusal = {"status": 429, "code": 99991400, "headers": {"x-ogw-ratelimit-reset": "1"}}
    await world.feishu.tell("faults", refusal | {"count": 10_000})
    await asyncio.sleep(strike.length)
    await world.feishu.forget_faults()


async def _feishu_works_slowly(world: World, strike: Strike) -> None:
    await world.feishu.tell("latency", {"ms": 1500, "jitter_ms": 1000})
    await asyncio.sleep(strike.length)
    await world.feishu.tell("latency", {})


def _on_proxy(
    part: Part, begin: Callable[[Proxy, random.Random], None], *, cuts: bool = False
) -> Callable[[World, Strike], Awaitable[None]]:
    """A fault of the network; `cuts` resets the connections at its end, since bytes are missing."""

    async def strike_proxy(world: World, strike: Strike) -> None:
        proxy = world.slots[strike.slot].proxies[part]
        begin(proxy, random.Random(strike.seed))
        await asyncio.sleep(strike.length)
        if strike.length:
            proxy.heal()
            if cuts:
                proxy.cut()

    return strike_proxy


def _cut(proxy: Proxy, _: random.Random) -> None:
    proxy.cut()


def _refuse(proxy: Proxy, _: random.Random) -> None:
    proxy.refuse()


def _vanish(*ways: Way) -> Callable[[Proxy, random.Random], None]:
    return lambda proxy, _: proxy.blackhole(*ways)


def _slow(latency: float, jitter: float) -> Callable[[Proxy, random.Random], None]:
    return lambda proxy, _: proxy.change(latency=latency, jitter=jitter)


def _slices(proxy: Proxy, _: random.Random) -> None:
    proxy.change(slice_size=64, bandwidth=40_000.0)


def _hold(proxy: Proxy, _: random.Random) -> None:
    proxy.hold()


def _in_part(proxy: Proxy, random_: random.Random) -> None:
    proxy.change(random_.choice((Way.UP, Way.DOWN)), limit_data=random_.randrange(20, 800))


def _on_commit(proxy: Proxy, _: random.Random) -> None:
    proxy.change(Way.UP, cut_on=b"COMMIT")


async def _control(world: World, *arguments: str) -> None:
    # While the broker restarts it cannot be told anything.
    with suppress(StackError, subprocess.TimeoutExpired):
        await asyncio.to_thread(world.stack.rabbitmq.control, *arguments)


FAULTS: Final[Mapping[str, Callable[[World, Strike], Awaitable[Any]]]] = {
    "kill": _kill,
    "terminate": _terminate,
    "pause": _pause,
    "amqp cut": _on_proxy(Part.AMQP, _cut),
    "amqp upstream vanishes": _on_proxy(Part.AMQP, _vanish(Way.UP), cuts=True),
    "amqp downstream vanishes": _on_proxy(Part.AMQP, _vanish(Way.DOWN), cuts=True),
    "amqp slow": _on_proxy(Part.AMQP, _slow(0.5, 0.3)),
    "amqp in slices": _on_proxy(Part.AMQP, _slices),
    "redis cut": _on_proxy(Part.REDIS, _cut),
    "redis vanishes": _on_proxy(Part.REDIS, _vanish(), cuts=True),
    "redis slow": _on_proxy(Part.REDIS, _slow(0.5, 0.3)),
    "redis refuses": _on_proxy(Part.REDIS, _refuse),
    "postgres cut": _on_proxy(Part.POSTGRES, _cut),
    "postgres vanishes": _on_proxy(Part.POSTGRES, _vanish(), cuts=True),
    "postgres cut on commit": _on_proxy(Part.POSTGRES, _on_commit),
    "feishu cut": _on_proxy(Part.FEISHU, _cut),
    "feishu refuses": _on_proxy(Part.FEISHU, _refuse),
    "feishu vanishes": _on_proxy(Part.FEISHU, _vanish(), cuts=True),
    "feishu held": _on_proxy(Part.FEISHU, _hold),
    "feishu slow": _on_proxy(Part.FEISHU, _slow(0.4, 0.3)),
    "feishu in part": _on_proxy(Part.FEISHU, _in_part),
    "connections closed": _connections_closed,
    "redis emptied": _redis_emptied,
    "redis restarted": _redis_restarted,
    "postgres restarted": _postgres_restarted,
    "broker restarted": _broker_restarted,
    "memory alarm": _memory_alarm,
    "feishu fails": _feishu_fails,
    "feishu limits": _feishu_limits,
    "feishu works slowly": _feishu_works_slowly,
    "tokens revoked": _tokens_revoked,
}
