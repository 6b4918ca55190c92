"""One fault in the middle of a steady load: every id accounted for, and what it cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from . import calls
from .fleet import Fleet
from .ledger import Producer, summary

Fault = Callable[[Fleet], Awaitable[None]]

RATE = 100.0
OUTAGE_SECONDS = 10.0


async def consumer_killed(fleet: Fleet) -> None:
    """A gateway process dies by SIGKILL and is replaced."""
    await fleet.gateways[0].kill()
    await fleet.start_gateway()


async def consumer_terminated(fleet: Fleet) -> None:
    """A gateway process is asked to stop by SIGTERM and is replaced."""
    replacing = asyncio.create_task(fleet.start_gateway())
    await fleet.gateways[0].terminate()
    await replacing


async def rabbitmq_restarted(fleet: Fleet) -> None:
    """RabbitMQ stops and starts again with its data."""
    await asyncio.to_thread(fleet.stack.rabbitmq.restart)


async def redis_stopped(fleet: Fleet) -> None:
    """Redis is away for ten seconds and comes back empty."""
    await asyncio.to_thread(fleet.stack.redis.stop)
    await asyncio.sleep(OUTAGE_SECONDS)
    await asyncio.to_thread(fleet.stack.redis.start)


async def redis_emptied(fleet: Fleet) -> None:
    """Redis forgets everything."""
    process = await asyncio.create_subprocess_exec(
        "redis-cli", "-u", fleet.stack.redis_url, "flushall", stdout=asyncio.subprocess.DEVNULL
    )
    await process.wait()


async def postgres_stopped(fleet: Fleet) -> None:
    """Postgres is away for ten seconds."""
    await asyncio.to_thread(fleet.stack.postgres.stop)
    await asyncio.sleep(OUTAGE_SECONDS)
    await asyncio.to_thread(fleet.stack.postgres.start)


FAULTS: dict[str, Fault] = {
    "none": lambda _: asyncio.sleep(0),
    "consumer killed": consumer_killed,
    "consumer terminated": consumer_terminated,
    "rabbitmq restarted": rabbitmq_restarted,
    "redis stopped 10 s": redis_stopped,
    "redis emptied": redis_emptied,
    "postgres stopped 10 s": postgres_stopped,
}


async def under_load(fleet: Fleet, fault: Fault, *, seconds: float, seed: int) -> dict[str, Any]:
    """Two processes at 100 calls/s; the fault comes after a third of the time."""
    for _ in range(2):
        await fleet.start_gateway()
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        began = time.monotonic()
        offering = asyncio.create_task(calls.offer(producer, RATE, seconds, seed))
        await asyncio.sleep(seconds / 3)
        await fault(fleet)
        lasted = time.monotonic() - began - seconds / 3
        lines = await offering
        await producer.answered(lines, 75)
        figures = summary(lines)
    figures["fault_s"] = round(lasted, 1)
    return figures | await _effects(fleet)


async def _effects(fleet: Fleet) -> dict[str, Any]:
    ledger = await fleet.sandbox("ledger", template="/open-apis/docx/v1/documents", limit="100000")
    sent: dict[str, int] = {}
    for entry in ledger["entries"]:
        sent[entry["body_hash"]] = sent.get(entry["body_hash"], 0) + 1
    repeated = await fleet.sandbox("effects", repeated="1")
    keyed = [key for key in repeated if key not in sent]
    return {
        "documents_sent_twice": sum(count > 1 for count in sent.values()),
        "keyed_effects_above_one": len(keyed),
    }
