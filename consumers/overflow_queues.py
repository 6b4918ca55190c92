"""Every overflow queue there is: found in the registry, taken from, watched, at last removed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from functools import partial

import structlog
from aio_pika.abc import AbstractConnection

from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.overflow_queues import IDLE_SECONDS, OverflowQueue, OverflowRegistry, Registered

from .backlog import Backlog
from .codec import Delivery, history_of
from .connection import Link
from .overflow_channel import NotConnected, OverflowChannel
from .overflow_janitor import OverflowJanitor
from .overflow_levels import OverflowLevels
from .taker import Handler
from .takers import Takers

MOST_TAKEN = 16
"""Calls in hand out of one overflow queue, at most: what its bucket soon has slots for."""
LOOK_SECONDS = 2.0
MOST_LOOKS = 20.0
"""Queues looked at in a second, at most."""

log = structlog.get_logger()


class OverflowQueues:
    """Takes from the overflow queues of these apps, and removes those empty and idle for *idle* s.

    A queue that is empty and was not used for half of that is not consumed, so that whoever removes
    it can see that nobody has calls of it in hand.
    """

    def __init__(
        self,
        url: str,
        registry: OverflowRegistry,
        channel: OverflowChannel,
        handler: Handler,
        backlog: Backlog,
        metrics: Metrics,
        *,
        aliases: Callable[[], Container[str]],
        prefetch: int = MOST_TAKEN,
        idle: float = IDLE_SECONDS,
        look: float = LOOK_SECONDS,
    ) -> None:
        self._link = Link(url, "overflow", metrics.reconnects.labels("overflow").inc)
        self._registry = registry
        self._channel = channel
        self._handler = handler
        self._aliases = aliases
        self._idle = idle
        self._look = look
        self._levels = OverflowLevels(backlog, metrics)
        self._takers = Takers(prefetch=prefetch)
        self._janitor = OverflowJanitor(registry, channel, self._takers, idle=idle)
        self._rows: dict[str, Registered] = {}
        self._missing: set[str] = set()
        """Registered, but not there when they were last looked at."""

    @property
    def ready(self) -> bool:
        """Whether overflow queues can be declared and taken from."""
        return self._takers.ready

    @property
    def held(self) -> int:
        """Deliveries in hand."""
        return len(self._takers.in_hand())

    @property
    def levels(self) -> OverflowLevels:
        """How full the queues are."""
        return self._levels

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run(self._set_up, self._tear_down))
            group.create_task(self._follow())
            group.create_task(self._watch())
            group.create_task(self._janitor.run())

    async def stop(self) -> None:
        """Take nothing more off the queues."""
        await self._takers.stop()

    async def finish(self, timeout: float) -> int:
        """Wait until all in hand has ended, at most *timeout* seconds; return what is left."""
        return await self._takers.finish(timeout)

    async def _set_up(self, connection: AbstractConnection) -> None:
        self._channel.attach(connection)
        self._takers.attach(connection)
        self._channel.declared.set()

    def _tear_down(self) -> None:
        self._channel.detach()
        self._takers.detach()

    async def _handle(self, queue: OverflowQueue, delivery: Delivery) -> bool:
        self._levels.taken(queue, history_of(delivery))
        return await self._handler(delivery)

    async def _follow(self) -> None:
        """Keep up with the registry; what is declared here is known at once."""
        while True:
            self._channel.declared.clear()
            try:
                self._accept(await self._registry.list())
                if used := self._takers.used(at_least_every=self._idle / 10):
                    await self._registry.touch(used)
            except GatewayError as error:
                # Those known stay known.
                log.debug("registry of overflow queues not read", reason=error.message)
            wanted = {
                name: partial(self._handle, row.queue)
                for name, row in self._rows.items()
                if self._is_wanted(row)
            }
            await self._takers.keep(wanted)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look):
                    await self._channel.declared.wait()

    def _accept(self, rows: Sequence[Registered]) -> None:
        aliases = self._aliases()
        known = {row.queue.name: row for row in rows if row.queue.app in aliases}
        for name in self._rows.keys() - known.keys():
            self._levels.gone(self._rows[name].queue)
        self._rows = known
        self._missing &= known.keys()

    def _is_wanted(self, row: Registered) -> bool:
        # RabbitMQ 3.10 closes the connection of who begins to consume a queue that is just being
        # removed: one that was long not used is looked at first.
        depth = self._levels.depth(row.queue.name)
        return depth > 0 or (row.idle < self._idle / 2 and row.queue.name not in self._missing)

    async def _watch(self) -> None:
        """See how many calls wait in each queue, one queue after the other."""
        while True:
            names = list(self._rows)
            pause = max(self._look / max(1, len(names)), 1 / MOST_LOOKS)
            for name in names:
                with suppress(NotConnected):
                    await self._look_at(name)
                await asyncio.sleep(pause)
            if not names:
                await asyncio.sleep(self._look / 10)

    async def _look_at(self, name: str) -> None:
        asked_at = time.time()
        seen = await self._channel.look(name)
        if row := self._rows.get(name):
            self._levels.seen(row.queue, seen.messages if seen else 0, asked_at)
            (self._missing.discard if seen else self._missing.add)(name)
