"""Removes overflow queues that are empty and that nobody used for long; never by expiry."""

from __future__ import annotations

import asyncio
import random

import structlog

from gateway.errors import GatewayError
from gateway.overflow_queues import OverflowRegistry

from .overflow_channel import NotConnected, OverflowChannel
from .takers import Takers

log = structlog.get_logger()


class OverflowJanitor:
    """Looks after the queues that were not used for *idle* seconds, whoever made them.

    Quorum queues cannot be deleted on the condition that they are empty. So the queue's row is
    locked while its state is read and until it is gone: who wants to move a call into it registers
    first, and waits for that. A queue that somebody consumes may have calls in hand, which no count
    shows, and stays.
    """

    def __init__(
        self,
        registry: OverflowRegistry,
        channel: OverflowChannel,
        takers: Takers,
        *,
        idle: float,
    ) -> None:
        self._registry = registry
        self._channel = channel
        self._takers = takers
        self._idle = idle

    async def run(self) -> None:
        """Look around until cancelled, ten times within the idle time."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * self._idle / 10)  # noqa: S311  jitter
            try:
                while await self._registry.retire(self._idle, self._remove):
                    pass
            except (GatewayError, NotConnected) as error:
                log.debug("overflow queues not looked after", reason=str(error))

    async def _remove(self, name: str) -> bool:
        if self._takers.has(name):
            return False
        seen = await self._channel.look(name)
        if seen is not None:
            if seen.messages or seen.consumers or not await self._channel.is_empty(name):
                return False
            await self._channel.delete(name)
        log.info("overflow queue removed", queue=name)
        return True
