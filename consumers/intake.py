"""Declares broker objects and consumes their queues, on one connection; both come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog
from aio_pika.abc import AbstractConnection

from gateway.metrics import Metrics

from .connection import Link, open_channel, stop_if_told, told_to_stop
from .taker import Handler
from .takers import Takers
from .topology import Topology

LOOK_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Source:
    """Queues to consume, once the topology is declared; one that is not there is passed over."""

    topology: Topology | None
    queues: tuple[str, ...]


Sources = Callable[[], Mapping[str, Source]]
"""What is to be consumed now, by name, in the order of declaration."""


class Intake:
    """Follows its sources, each queue on a channel and with a prefetch of its own.

    What comes or goes disturbs nothing else: the connection stays, and so does what is in hand.
    """

    def __init__(
        self,
        url: str,
        role: str,
        sources: Sources,
        handler: Handler,
        metrics: Metrics,
        *,
        prefetch: int,
    ) -> None:
        self._link = Link(url, role, metrics.reconnects.labels(role).inc)
        self._sources = sources
        self._handler = handler
        self._news = asyncio.Event()
        self._takers = Takers(prefetch=prefetch, on_lost=self._lost)
        self._connection: AbstractConnection | None = None
        self._declared: set[str] = set()
        """Sources declared on this connection."""
        self._complete = False

    @property
    def ready(self) -> bool:
        """Whether every queue was consumed when it was looked at last."""
        return self._complete and self._takers.ready

    @property
    def held(self) -> int:
        """Deliveries in hand."""
        return len(self._takers.in_hand())

    def has(self, queue: str) -> bool:
        """Whether this process consumes the queue, or has calls of it in hand."""
        return self._takers.has(queue)

    def look_again(self) -> None:
        """The sources are others now."""
        self._news.set()

    async def run(self) -> None:
        """Consume until cancelled; raises ConfigError when the broker holds other objects.

        Of what comes later, such objects are passed over, and tried again.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run(self._set_up, self._tear_down))
            group.create_task(self._follow())

    async def stop(self) -> None:
        """Take nothing more off the queues."""
        await self._takers.stop()

    async def finish(self, timeout: float) -> int:
        """Wait until all in hand has ended, at most *timeout* seconds; return what is left.

        What is left stays unacked: the broker redelivers it when the connection closes.
        """
        return await self._takers.finish(timeout)

    async def _set_up(self, connection: AbstractConnection) -> None:
        for name, source in self._sources().items():
            await self._declare(connection, name, source)
        self._connection = connection
        self._takers.attach(connection)
        self._news.set()

    def _tear_down(self) -> None:
        self._connection = None
        self._complete = False
        self._declared.clear()
        self._takers.detach()

    def _lost(self) -> None:
        # A deleted queue is to be declared again.
        self._declared.clear()
        self._news.set()

    async def _follow(self) -> None:
        while True:
            self._news.clear()
            if self._connection is not None:
                try:
                    await self._catch_up(self._connection)
                except asyncio.CancelledError:
                    if told_to_stop():
                        raise
                except Exception as error:  # noqa: BLE001  aiormq raises bare Exceptions too
                    log.warning("not declared", reason=f"{type(error).__name__}: {error}"[:300])
            stop_if_told()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()

    async def _catch_up(self, connection: AbstractConnection) -> None:
        sources = self._sources()
        self._declared &= sources.keys()
        try:
            for name, source in sources.items():
                if name not in self._declared:
                    await self._declare(connection, name, source)
        finally:
            known = [source for name, source in sources.items() if name in self._declared]
            wanted = [queue for source in known for queue in source.queues]
            await self._takers.keep(dict.fromkeys(wanted, self._handler))
        self._complete = all(self._takers.takes(queue) for queue in _lasting(known))

    async def _declare(self, connection: AbstractConnection, name: str, source: Source) -> None:
        if source.topology is not None:
            channel = await open_channel(connection, confirms=False)
            await source.topology.declare(channel)
            await channel.close()
        self._declared.add(name)


def _lasting(sources: Iterable[Source]) -> Iterator[str]:
    """The queues that are to stay: what others may delete need not be consumed."""
    for source in sources:
        if source.topology is not None:
            yield from source.queues
