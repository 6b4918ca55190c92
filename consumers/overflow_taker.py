"""Consumes one overflow queue, on a channel of its own: only what there are soon slots for."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aio_pika.abc import AbstractConnection
from aiormq import Channel
from aiormq.abc import DeliveredMessage

from .acks import Acks
from .connection import open_channel
from .intake import Handler, delivery_of

QUIET_SECONDS = 2.0


class Taker:
    """Takes calls out of one queue until it is closed, or told off by the broker."""

    def __init__(self, queue: str, channel: Channel, handler: Handler, *, prefetch: int) -> None:
        self.queue = queue
        self.running: set[asyncio.Task[None]] = set()
        """One task for each delivery in hand."""
        self.taken = 0
        """Deliveries so far."""
        self._told_off = False
        self._channel = channel
        self._acks = Acks(channel, prefetch=prefetch)
        self._handler = handler
        self._tag = ""

    @classmethod
    async def open(
        cls, connection: AbstractConnection, queue: str, handler: Handler, *, prefetch: int
    ) -> Taker:
        """Begin to consume; raises what aiormq raises, ChannelNotFoundEntity for no queue."""
        channel = await open_channel(connection, confirms=False)
        taker = cls(queue, channel, handler, prefetch=prefetch)
        channel.on_consumer_cancel_callbacks.add(taker._tell_off)
        await channel.basic_qos(prefetch_count=prefetch)
        consumed = await channel.basic_consume(queue, taker._take)
        taker._tag = consumed.consumer_tag or ""
        return taker

    @property
    def is_lost(self) -> bool:
        """Whether RabbitMQ has closed the channel, and taken back what is in hand."""
        return self._channel.is_closed

    @property
    def is_open(self) -> bool:
        """Whether it goes on taking calls: its queue is there, and so is its channel."""
        return not self._told_off and not self._channel.is_closed

    async def cancel(self) -> None:
        """Take nothing more; what is in hand can still be acked."""
        if self.is_open:
            self._told_off = True
            with suppress(Exception):
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._channel.basic_cancel(self._tag)

    async def flush(self) -> None:
        """Wait until all acks are on their way."""
        await self._acks.flush(timeout=QUIET_SECONDS)

    async def close(self) -> None:
        """Cancel, and close the channel; RabbitMQ takes back what is in hand."""
        await self.cancel()
        await self.flush()
        self.lost()
        with suppress(Exception):
            async with asyncio.timeout(QUIET_SECONDS):
                await self._channel.close()

    def lost(self) -> None:
        """Send no more acks: the channel is gone."""
        self._acks.close()

    def _tell_off(self, _: object) -> None:
        # The queue was deleted, because it was empty and idle.
        self._told_off = True

    async def _take(self, message: DeliveredMessage) -> None:
        # Not in the callback: a channel that dies cancels its callbacks, and a request in one.
        self.taken += 1
        task = asyncio.get_running_loop().create_task(self._settle(message))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _settle(self, message: DeliveredMessage) -> None:
        done = await self._handler(delivery_of(message, self.queue))
        (self._acks.ack if done else self._acks.give_back)(message.delivery_tag or 0)
