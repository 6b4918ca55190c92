"""Confirmed publishing on a connection of its own: a memory alarm stops publishers, not acks."""

from __future__ import annotations

import asyncio
import itertools
import struct
import uuid
import zlib
from enum import StrEnum
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection
from aiormq import Channel
from aiormq.exceptions import DeliveryError, PublishError
from pamqp import commands as spec

from gateway.metrics import Metrics

from .connection import Link, open_channel, told_to_stop

CHANNELS = 8
"""Publishes on one channel are written one after the other; several channels share the waiting."""
LONGEST_PAUSE = 5.0
UNWRITABLE = (TypeError, ValueError, OverflowError, struct.error)
"""What pamqp raises for a value that AMQP cannot hold."""

log = structlog.get_logger()


class Published(StrEnum):
    """What became of a publish. UNKNOWN may have arrived: publish again, a duplicate is legal.

    UNSENT has not: there was no connection.
    """

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    NACKED = "nacked"
    UNKNOWN = "unknown"
    UNSENT = "unsent"


class Publisher:
    """Publishes persistent messages and says what the broker made of each."""

    def __init__(self, url: str, metrics: Metrics, *, timeout: float = 5.0) -> None:
        self._link = Link(url, "publish", metrics.reconnects.labels("publish").inc)
        self._timeout = timeout
        self._metrics = {outcome: metrics.publishes.labels(outcome.value) for outcome in Published}
        self._connection: AbstractConnection | None = None
        self._channels: list[Channel] = []
        self._replacing: set[asyncio.Task[None]] = set()
        self._turn = itertools.count()
        run = uuid.uuid4().hex
        self._ids = (f"{run}-{number}" for number in itertools.count())
        self._connected = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether there is a connection to publish on."""
        return self._connected.is_set()

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        await self._link.run(self._set_up, self._tear_down)

    async def _set_up(self, connection: AbstractConnection) -> None:
        self._channels = [await open_channel(connection, confirms=True) for _ in range(CHANNELS)]
        self._connection = connection
        self._connected.set()

    def _tear_down(self) -> None:
        self._connected.clear()
        self._connection = None
        self._channels = []

    async def until_confirmed(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        mandatory: bool,
        nack_is_final: bool = False,
        most_unknown: int | None = None,
        **properties: Any,
    ) -> Published:
        """Publish until it is confirmed or returned as unroutable; or nacked, if that is final.

        With *most_unknown*, stop also when it stayed unknown so often.
        """
        pause, unknown = 0.05, 0
        while True:
            outcome = await self.publish(
                exchange, routing_key, body, mandatory=mandatory, **properties
            )
            unknown += outcome is Published.UNKNOWN
            refused = outcome is Published.NACKED and nack_is_final
            if refused or outcome in (Published.CONFIRMED, Published.RETURNED):
                return outcome
            if unknown == most_unknown:
                return Published.UNKNOWN
            log.warning("publish not confirmed", exchange=exchange, outcome=outcome.value)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        mandatory: bool,
        line: str | None = None,
        **properties: Any,
    ) -> Published:
        """Publish once; a message id is made up unless one is given.

        What is published in the same *line* arrives in order, unless it has to be published again.
        """
        properties.setdefault("message_id", next(self._ids))
        message = spec.Basic.Properties(delivery_mode=2, **properties)
        channel: Channel | None = None
        outcome = Published.UNSENT
        try:
            async with asyncio.timeout(self._timeout):
                await self._connected.wait()
                turn = next(self._turn) if line is None else zlib.crc32(line.encode())
                channel = self._channels[turn % len(self._channels)]
                outcome = Published.UNKNOWN
                # Not waiting for the socket to drain lets many publishes share one write.
                await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=routing_key,
                    properties=message,
                    mandatory=mandatory,
                    wait=False,
                )
            outcome = Published.CONFIRMED
        except PublishError:
            outcome = Published.RETURNED
        except DeliveryError:
            outcome = Published.NACKED
        except asyncio.CancelledError:
            if told_to_stop():
                raise
            self._abandon(channel)
        except UNWRITABLE:
            # The message itself is at fault, and would be for ever.
            raise
        except Exception:  # noqa: BLE001  at a clean end of stream aiormq raises a bare Exception
            self._abandon(channel)
        self._metrics[outcome].inc()
        return outcome

    def _abandon(self, channel: Channel | None) -> None:
        # After a timeout a channel's delivery tags can no longer be trusted.
        if channel is None or channel not in self._channels:
            return
        self._channels.remove(channel)
        if self._channels:
            task = asyncio.get_running_loop().create_task(self._replace(channel))
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)
        else:
            self._connected.clear()
            self._link.drop()

    async def _replace(self, channel: Channel) -> None:
        connection = self._connection
        try:
            async with asyncio.timeout(self._timeout):
                if not channel.is_closed:
                    await channel.close()
                if connection is not None:
                    fresh = await open_channel(connection, confirms=True)
                    if connection is self._connection:
                        self._channels.append(fresh)
        except Exception:  # noqa: BLE001  whatever it is, the connection is of no use
            if connection is self._connection:
                self._connected.clear()
                self._link.drop()
