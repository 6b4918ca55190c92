"""The part of a gateway process that moves calls into overflow queues and takes them out again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consumers.backlog import Backlog
from consumers.codec import Delivery, address_of, open_envelope
from consumers.overflow import Mover
from consumers.overflow_channel import OverflowChannel
from consumers.overflow_queues import OverflowQueues
from consumers.publisher import Publisher
from consumers.work import Work
from gateway.database import Database
from gateway.limits.buckets import Bucket
from gateway.metrics import Metrics
from gateway.overflow_queues import OverflowRegistry
from schemas.apis import Window
from tests.support.builders import make_delivery, make_job
from tests.support.waiting import eventually


def bucket_named(key: str, name: str = "POST /x") -> Bucket:
    """A bucket of five calls a second."""
    return Bucket(key, (Window(5, 1),), name=name)


def work_of(body: bytes, *, alias: str = "default", lane: str = "bulk", **properties: Any) -> Work:
    """A call that has just come, with this body."""
    delivery = make_delivery(
        body, received=time.time(), routing_key=f"{alias}.{lane}.more", **properties
    )
    envelope = open_envelope(delivery)
    job = make_job(deadline=envelope.deadline, call_id=envelope.call_id)
    return Work(delivery, alias, address_of(delivery), envelope, job)


class MovingProcess:
    """Keeps what it takes until `gate` is open, and then acks it or gives it back."""

    def __init__(
        self, rabbitmq_url: str, database_url: str, *, aliases: Sequence[str], idle: float
    ) -> None:
        self.metrics = Metrics()
        self.backlog = Backlog()
        self.database = Database(database_url)
        self.registry = OverflowRegistry(self.database)
        self.publisher = Publisher(rabbitmq_url, self.metrics)
        self.channel = OverflowChannel()
        self.mover = Mover(
            self.publisher, self.registry, self.channel, self.backlog, self.metrics, idle=idle
        )
        self.queues = OverflowQueues(
            rabbitmq_url,
            self.registry,
            self.channel,
            self._take,
            self.backlog,
            self.metrics,
            aliases=lambda: aliases,
            idle=idle,
            look=0.05,
        )
        self.taken: list[Delivery] = []
        self.gate = asyncio.Event()
        self.carried_out = True

    async def _take(self, delivery: Delivery) -> bool:
        self.taken.append(delivery)
        await self.gate.wait()
        return self.carried_out

    @property
    def bodies(self) -> list[bytes]:
        """What was taken, in the order in which it came."""
        return [delivery.body for delivery in self.taken]

    async def takes(self, count: int) -> None:
        """Wait until so many calls were taken."""
        await eventually(lambda: len(self.taken) >= count)

    async def registered(self) -> set[str]:
        """The names in the registry."""
        return {row.queue.name for row in await self.registry.list()}

    async def removed(self, queue: str) -> None:
        """Wait until the queue is not registered any more."""
        async with asyncio.timeout(10):
            while True:
                if queue not in await self.registered():
                    return
                await asyncio.sleep(0.05)

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of its metrics."""
        return self.metrics.registry.get_sample_value(f"lark_service_{name}", labels) or 0.0


@asynccontextmanager
async def moving_process(
    rabbitmq_url: str,
    database_url: str,
    *,
    aliases: Sequence[str] = (),
    idle: float = 600,
    holds: bool = False,
) -> AsyncIterator[MovingProcess]:
    """A process at work; without aliases it takes nothing. In the end it breaks off at once.

    With *holds* it keeps what it takes until `gate` is opened.
    """
    process = MovingProcess(rabbitmq_url, database_url, aliases=aliases, idle=idle)
    if not holds:
        process.gate.set()
    await process.database.migrate()
    tasks = [asyncio.create_task(part.run()) for part in (process.publisher, process.queues)]
    try:
        await eventually(lambda: process.publisher.ready and process.queues.ready)
        yield process
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await process.database.close()
