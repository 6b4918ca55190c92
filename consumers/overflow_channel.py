"""Declares overflow queues, looks at queues, unbinds and deletes them, on one channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aiormq import Channel
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp import commands as spec

from gateway.errors import ConfigError

from .connection import open_channel, told_to_stop
from .topology import Binding, overflow

ANSWER_SECONDS = 10.0


class NotConnected(Exception):
    """RabbitMQ gave no answer; what was asked may have been done."""


@dataclass(frozen=True, slots=True)
class Look:
    """A queue as it was a moment ago. Calls in hand are in no `messages`, but have `consumers`."""

    messages: int
    consumers: int


class OverflowChannel:
    """One request at a time; every method raises NotConnected. It lives on another's connection."""

    def __init__(self) -> None:
        self.declared = asyncio.Event()
        """Set whenever a queue was declared, for who wants to know of new ones at once."""
        self._connection: AbstractConnection | None = None
        self._channel: Channel | None = None
        self._lock = asyncio.Lock()

    def attach(self, connection: AbstractConnection) -> None:
        """Use this connection from now on."""
        self._connection, self._channel = connection, None

    def detach(self) -> None:
        """There is no connection any more."""
        self._connection = self._channel = None

    async def declare(self, queue: str) -> None:
        """Make the queue and its binding; raises ConfigError where it is there but another."""
        async with self._asking() as channel:
            await overflow(queue).declare(channel)
        self.declared.set()

    async def look(self, queue: str) -> Look | None:
        """How many calls wait in the queue; None where there is no such queue."""
        try:
            async with self._asking() as channel:
                seen = await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            return None
        return Look(seen.message_count or 0, seen.consumer_count or 0)

    async def is_empty(self, queue: str) -> bool:
        """Whether nothing can be taken from the queue.

        Other than a look it asks the queue's majority: RabbitMQ sees nobody and nothing in a queue
        whose leader does not answer. Calls in hand elsewhere do not count.
        """
        async with self._asking() as channel:
            got = await channel.basic_get(queue)
            if isinstance(got.delivery, spec.Basic.GetEmpty):
                return True
            await channel.basic_nack(got.delivery_tag or 0, requeue=True)
            return False

    async def unbind(self, binding: Binding) -> None:
        """Have nothing more come into the queue by this way."""
        async with self._asking() as channel:
            await channel.queue_unbind(binding.queue, binding.exchange, binding.routing_key)

    async def delete(self, queue: str) -> None:
        """Delete the queue, whatever is in it: quorum queues know no conditions for that."""
        async with self._asking() as channel:
            await channel.queue_delete(queue)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Channel]:
        async with self._lock:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    yield await self._opened()
            except (ConfigError, ChannelNotFoundEntity):
                # RabbitMQ has closed the channel with its answer.
                self._channel = None
                raise
            except asyncio.CancelledError:
                self._channel = None
                if told_to_stop():
                    raise
                raise NotConnected("the channel was lost") from None
            except Exception as error:
                # At a clean end of stream aiormq raises a bare Exception.
                self._channel = None
                raise NotConnected(f"{type(error).__name__}") from error

    async def _opened(self) -> Channel:
        if self._channel is None or self._channel.is_closed:
            if self._connection is None:
                raise NotConnected("no connection")
            self._channel = await open_channel(self._connection, confirms=False)
        return self._channel
