"""Takes deliveries off queues and settles them. Nothing is done in a channel's callback: a channel
that dies cancels its callbacks, and an HTTP request in one would be cut off half-way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection
from aiormq import Channel
from aiormq.abc import DeliveredMessage
from pamqp import commands as spec

from gateway.metrics import Metrics

from .acks import Acks
from .codec import Delivery
from .connection import Link, open_channel
from .topology import Topology

log = structlog.get_logger()

Callback = Callable[[DeliveredMessage], Coroutine[Any, Any, None]]
Handler = Callable[[Delivery], Awaitable[bool]]
"""Carries a delivery to its end. True: ack it; False: give it back to its queue."""


@dataclass(frozen=True, slots=True)
class _Consumer:
    """One queue that is being consumed."""

    channel: Channel
    tag: str
    acks: Acks


class Intake:
    """Consumes some queues on one connection, each on a channel and with a prefetch of its own."""

    def __init__(
        self,
        url: str,
        role: str,
        topology: Topology,
        queues: Sequence[str],
        handler: Handler,
        metrics: Metrics,
        *,
        prefetch: int,
    ) -> None:
        self._link = Link(url, role, metrics.reconnects.labels(role).inc)
        self._topology = topology
        self._queues = queues
        self._handler = handler
        self._prefetch = prefetch
        self._consumers: list[_Consumer] = []
        self._running: set[asyncio.Task[None]] = set()
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether every queue is consumed."""
        return bool(self._consumers) and not self._draining

    @property
    def held(self) -> int:
        """Deliveries in hand."""
        return len(self._running)

    async def run(self) -> None:
        """Consume until cancelled; raises ConfigError when the broker holds other objects."""
        await self._link.run(self._set_up, self._tear_down)

    async def _set_up(self, connection: AbstractConnection) -> None:
        declaring = await open_channel(connection, confirms=False)
        await self._topology.declare(declaring)
        await declaring.close()
        consumers: list[_Consumer] = []
        for queue in () if self._draining else self._queues:
            channel = await open_channel(connection, confirms=False)
            channel.on_consumer_cancel_callbacks.add(self._cancelled)
            # A channel may die alone, by the broker's consumer timeout: its queue would be deaf.
            channel.closing.add_done_callback(partial(self._channel_closed, channel))
            await channel.basic_qos(prefetch_count=self._prefetch)
            acks = Acks(channel, prefetch=self._prefetch)
            consumed = await channel.basic_consume(queue, self._taker(queue, acks))
            consumers.append(_Consumer(channel, consumed.consumer_tag or "", acks))
        self._consumers = consumers
        log.info("consuming", queues=list(self._queues))

    def _tear_down(self) -> None:
        for consumer in self._consumers:
            consumer.acks.close()
        self._consumers = []

    def _cancelled(self, frame: spec.Basic.Cancel) -> None:
        log.warning("RabbitMQ cancelled a consumer", consumer_tag=frame.consumer_tag)
        self._link.drop()

    def _channel_closed(self, channel: Channel, _: object) -> None:
        if any(consumer.channel is channel for consumer in self._consumers):
            self._link.drop()

    def _taker(self, queue: str, acks: Acks) -> Callback:
        async def take(message: DeliveredMessage) -> None:
            task = asyncio.get_running_loop().create_task(self._settle(message, queue, acks))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        return take

    async def _settle(self, message: DeliveredMessage, queue: str, acks: Acks) -> None:
        done = await self._handler(delivery_of(message, queue))
        (acks.ack if done else acks.give_back)(message.delivery_tag or 0)

    async def stop(self) -> None:
        """Take nothing more off the queues."""
        self._draining = True
        for consumer in self._consumers:
            try:
                async with asyncio.timeout(2):
                    await consumer.channel.basic_cancel(consumer.tag)
            except Exception:  # noqa: BLE001  then the broker has cancelled it already
                log.debug("channel lost before the cancel")

    async def finish(self, timeout: float) -> int:
        """Wait until all in hand has ended, at most *timeout* seconds; return what is left.

        What is left stays unacked: the broker redelivers it when the connection closes.
        """
        end = time.monotonic() + timeout
        # One that was taken at the last moment starts while the others are waited for.
        while self._running and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left)
        left_over = len(self._running)
        for task in self._running:
            task.cancel()
        for consumer in self._consumers:
            await consumer.acks.flush(timeout=2)
        return left_over


def delivery_of(message: DeliveredMessage, queue: str) -> Delivery:
    """What RabbitMQ handed over out of this queue, received now."""
    return Delivery(
        body=message.body,
        properties=message.header.properties,
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        queue=queue,
        redelivered=bool(message.redelivered),
        received=time.time(),
    )
