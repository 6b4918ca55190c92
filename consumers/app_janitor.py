"""Removes the queues of apps and pools that were removed, once every call in them has ended."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from gateway.errors import GatewayError
from gateway.overflow_queues import OverflowRegistry
from gateway.removals import Removals

from .app_queues import AppQueues
from .intake import Intake
from .overflow_channel import Look, NotConnected, OverflowChannel
from .topology import Topology

LOOK_SECONDS = 1.0
QUIET_SECONDS = 3.0
"""How long a queue was seen empty and consumed by nobody: what was routed before it was unbound
has come by then, and what was handed out has been answered."""

Purge = Callable[[str], Awaitable[bool]]
"""Forgets a removed app or pool."""

log = structlog.get_logger()


class AppJanitor:
    """Unbinds, has emptied, deletes, and at last has the row purged; other processes do the same.

    Each process stops consuming a queue that it finds empty, so that whoever deletes it can see
    that nobody has calls of it in hand: quorum queues cannot be deleted on such conditions, and one
    process at a time looks and deletes. What then comes back from a retry rung is unrouted.
    """

    def __init__(
        self,
        queues: AppQueues,
        calls: Intake,
        channel: OverflowChannel,
        overflow: OverflowRegistry,
        removals: Removals,
        purge: Purge,
    ) -> None:
        self._queues = queues
        self._calls = calls
        self._channel = channel
        self._overflow = overflow
        self._removals = removals
        self._purge = purge
        self._quiet_since: dict[str, float] = {}

    async def run(self) -> None:
        """Look around every second until cancelled."""
        while True:
            await asyncio.sleep(random.uniform(0.7, 1.3) * LOOK_SECONDS)  # noqa: S311  jitter
            leaving = self._queues.leaving
            if not leaving:
                continue
            try:
                # By Postgres, not by what was read: an alias may be another's by now.
                for alias in await self._removals.gone(leaving):
                    await self._look_after(alias)
            except (GatewayError, NotConnected) as error:
                log.debug("removed apps not looked after", reason=str(error))

    async def _look_after(self, alias: str) -> None:
        looks = await self._unbound(alias)
        if self._queues.leave(alias, (name for name, look in looks.items() if look.messages)):
            self._calls.look_again()
        if not looks:
            await self._purge_unless_moved(alias)
        elif any(look.messages or look.consumers for look in looks.values()):
            self._quiet_since.pop(alias, None)
        elif self._is_quiet_for(alias) >= QUIET_SECONDS:
            await self._removals.alone(alias, lambda: self._delete(alias))

    async def _unbound(self, alias: str) -> dict[str, Look]:
        """Unbind the queues that are there, and look at them.

        Each time: a process that does not know yet of the removal may have bound them again.
        """
        topology = Topology.of_app(alias)
        looks = {queue.name: await self._channel.look(queue.name) for queue in topology.queues}
        for binding in topology.bindings:
            if looks[binding.queue] is not None:
                await self._channel.unbind(binding)
        return {name: look for name, look in looks.items() if look is not None}

    def _is_quiet_for(self, alias: str) -> float:
        now = time.monotonic()
        return now - self._quiet_since.setdefault(alias, now)

    async def _delete(self, alias: str) -> None:
        looks = await self._unbound(alias)
        for name, look in looks.items():
            used = look.messages or look.consumers or self._calls.has(name)
            if used or not await self._channel.is_empty(name):
                self._quiet_since.pop(alias, None)
                return
        for name in looks:
            await self._channel.delete(name)
        log.info("queues removed", app=alias)

    async def _purge_unless_moved(self, alias: str) -> None:
        self._quiet_since.pop(alias, None)
        # What was moved is taken out and refused; the empty queue goes with the others like it.
        if any(row.queue.app == alias for row in await self._overflow.list()):
            return
        if await self._purge(alias):
            log.info("purged", app=alias)
        self._queues.forget(alias)
