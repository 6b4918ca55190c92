"""Consumes one queue, on a channel and with a prefetch of its own.

Nothing is done in a channel's callback: a channel that dies cancels its callbacks, and an HTTP
request in one would be cut off half-way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractConnection
from aiormq import Channel
from aiormq.abc import DeliveredMessage

from .acks import Acks
from .codec import Delivery
from .connection import open_channel, quietly

QUIET_SECONDS = 2.0

Handler = Callable[[Delivery], Awaitable[bool]]
"""Carries a delivery to its end. True: ack it; False: give it back to its queue."""


class Taker:
    """Takes calls out of one queue until it is closed, or told off by the broker."""

    def __init__(
        self,
        queue: str,
        channel: Channel,
        handler: Handler,
        *,
        prefetch: int,
        on_lost: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.running: set[asyncio.Task[None]] = set()
        """One task for each delivery in hand."""
        self.taken = 0
        """Deliveries so far."""
        self._cancelled = False
        self._deleted = False
        self._channel = channel
        self._on_lost = on_lost
        self._acks = Acks(channel, prefetch=prefetch)
        self._handler = handler
        self._tag = ""

    @classmethod
    async def open(
        cls,
        connection: AbstractConnection,
        queue: str,
        handler: Handler,
        *,
        prefetch: int,
        on_lost: Callable[[], None],
    ) -> Taker:
        """Begin to consume; raises what aiormq raises, ChannelNotFoundEntity for no queue.

        *on_lost* is called when RabbitMQ gives the queue to nobody any more.
        """
        channel = await open_channel(connection, confirms=False)
        taker = cls(queue, channel, handler, prefetch=prefetch, on_lost=on_lost)
        channel.on_consumer_cancel_callbacks.add(taker._tell_off)
        # A channel may die alone, by the broker's consumer timeout: its queue would be deaf.
        channel.closing.add_done_callback(taker._channel_closed)
        await channel.basic_qos(prefetch_count=prefetch)
        consumed = await channel.basic_consume(queue, taker._take)
        taker._tag = consumed.consumer_tag or ""
        return taker

    @property
    def is_lost(self) -> bool:
        """Whether RabbitMQ has closed the channel or deleted the queue, with what is in hand."""
        return self._deleted or self._channel.is_closed

    @property
    def is_open(self) -> bool:
        """Whether it goes on taking calls: its queue is there, and so is its channel."""
        return not self._cancelled and not self.is_lost

    async def cancel(self) -> None:
        """Take nothing more; what is in hand can still be acked."""
        if self.is_open:
            self._cancelled = True
            async with quietly(QUIET_SECONDS):
                await self._channel.basic_cancel(self._tag)

    async def flush(self) -> None:
        """Wait until all acks are on their way."""
        await self._acks.flush(timeout=QUIET_SECONDS)

    async def close(self) -> None:
        """Cancel, and close the channel; RabbitMQ takes back what is in hand."""
        await self.cancel()
        await self.flush()
        self.lost()
        async with quietly(QUIET_SECONDS):
            await self._channel.close()

    def lost(self) -> None:
        """Send no more acks: the channel is gone."""
        self._acks.close()

    def _tell_off(self, _: object) -> None:
        self._deleted = True
        self._on_lost()

    def _channel_closed(self, _: object) -> None:
        if not self._cancelled:
            self._on_lost()

    async def _take(self, message: DeliveredMessage) -> None:
        self.taken += 1
        task = asyncio.get_running_loop().create_task(self._settle(message))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _settle(self, message: DeliveredMessage) -> None:
        done = await self._handler(delivery_of(message, self.queue))
        (self._acks.ack if done else self._acks.give_back)(message.delivery_tag or 0)


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
