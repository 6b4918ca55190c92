"""Acks of one channel, several in a frame: one for each call would cost a tenth of the CPU."""

from __future__ import annotations

import asyncio

import structlog
from aiormq import Channel

MOST = 32
"""Finished deliveries that are acked without a pause when so many have come together."""
PAUSE_SECONDS = 0.005

log = structlog.get_logger()


class Acks:
    """Settles the deliveries of a channel in the background.

    One frame acks everything up to the oldest delivery in hand. What finishes behind it waits for
    it two pauses at most and is then acked singly: a slow call holds back no other's ack. A crash
    redelivers what finished within the last two pauses.
    """

    def __init__(self, channel: Channel, *, prefetch: int) -> None:
        self._channel = channel
        # The broker sends no more while the prefetch is used up.
        self._most = max(1, min(MOST, prefetch // 4))
        self._floor = 0
        """Every delivery up to this tag is finished, or given back."""
        self._ahead: set[int] = set()
        self._finished: list[int] = []
        self._behind: list[int] = []
        """Finished, and passed over once because an older delivery was in hand."""
        self._unwanted: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def ack(self, tag: int) -> None:
        """Take note that the delivery with this tag has come to its end."""
        self._finished.append(tag)
        self._advance(tag)
        if len(self._finished) >= self._most:
            self._send_soon()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._due)

    def give_back(self, tag: int) -> None:
        """Put the delivery back into its queue."""
        self._unwanted.append(tag)
        self._advance(tag)
        self._send_soon()

    async def flush(self, *, timeout: float) -> None:
        """Send everything and wait until it is on its way, so that the connection may be closed."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=timeout)
        self._behind += self._finished
        self._finished = []
        # In a task, since what ends a channel may throw anything into its waiters.
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send(wait=True))
        await asyncio.wait({self._sending}, timeout=timeout)

    def close(self) -> None:
        """Send nothing more: the channel is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sending is not None:
            self._sending.cancel()

    def _advance(self, tag: int) -> None:
        self._ahead.add(tag)
        while self._floor + 1 in self._ahead:
            self._floor += 1
            self._ahead.remove(self._floor)

    def _due(self) -> None:
        self._timer = None
        self._send_soon()

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self, *, wait: bool = False) -> None:
        # One frame after the other: an ack that overtakes another one names a tag that is settled
        # already, and RabbitMQ closes the channel for that.
        try:
            # First what is given back: an ack of many that came before it would take it along.
            while self._unwanted:
                await self._channel.basic_nack(self._unwanted.pop(), requeue=True, wait=wait)
            together, singly = self._take()
            if together:
                await self._channel.basic_ack(together, multiple=True, wait=wait)
            for tag in singly:
                await self._channel.basic_ack(tag, wait=wait)
        except Exception:  # noqa: BLE001  aiormq raises bare Exceptions too
            # The broker has taken the deliveries back together with the channel.
            log.debug("channel lost before the ack")
        finally:
            self._sending = None
        if self._unwanted or len(self._finished) >= self._most:
            self._send_soon()
        elif self._behind and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._due)

    def _take(self) -> tuple[int, list[int]]:
        """The highest tag up to which all can be acked, 0 for none, and what is acked singly."""
        finished = self._behind + self._finished
        together = max((tag for tag in finished if tag <= self._floor), default=0)
        singly = [tag for tag in self._behind if tag > self._floor]
        self._behind = [tag for tag in self._finished if tag > self._floor]
        self._finished = []
        return together, singly
