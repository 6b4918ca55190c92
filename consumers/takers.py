"""The queues of one connection that this process takes calls from, and what it has in hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Mapping

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from .connection import told_to_stop
from .taker import Handler, Taker

OPEN_SECONDS = 5.0

log = structlog.get_logger()


class Takers:
    """Opens and closes takers on one connection."""

    def __init__(self, *, prefetch: int, on_lost: Callable[[], None] = lambda: None) -> None:
        """*on_lost* is called when one was lost that `keep` would open again."""
        self._prefetch = prefetch
        self._on_lost = on_lost
        self._connection: AbstractConnection | None = None
        self._takers: dict[str, Taker] = {}
        self._left: set[asyncio.Task[None]] = set()
        """What is in hand of queues that are no longer taken from."""
        self._noted: dict[str, tuple[float, int]] = {}
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether queues can be taken from."""
        return self._connection is not None and not self._draining

    def in_hand(self) -> set[asyncio.Task[None]]:
        """One task for each delivery."""
        return self._left.union(*(taker.running for taker in self._takers.values()))

    def attach(self, connection: AbstractConnection) -> None:
        """Use this connection from now on."""
        self._connection = connection

    def detach(self) -> None:
        """The connection is gone, and with it everything that was taken; it is carried on."""
        self._connection = None
        for name in list(self._takers):
            self._drop(name).lost()

    async def keep(self, wanted: Mapping[str, Handler]) -> None:
        """Take from these queues and from no other that nothing is in hand of."""
        opened: list[str] = []
        try:
            await self._close_unwanted(wanted)
            await self._open_missing(wanted, opened)
        finally:
            if opened:
                log.info("consuming", queues=opened)

    async def _close_unwanted(self, wanted: Container[str]) -> None:
        for name, taker in list(self._takers.items()):
            if self._takers.get(name) is not taker:
                continue  # The connection was lost meanwhile.
            if taker.is_lost:
                await self._drop(name).close()
                continue
            if self._draining or taker.running:
                continue
            if not taker.is_open:
                await self._drop(name).close()
            elif name not in wanted:
                # Closed when next looked at: a call may come until the broker has heard of it.
                await taker.cancel()

    async def _open_missing(self, wanted: Mapping[str, Handler], opened: list[str]) -> None:
        for name, handler in wanted.items():
            if self._connection is None or self._draining:
                return
            if name not in self._takers and await self._open(self._connection, name, handler):
                opened.append(name)

    def has(self, name: str) -> bool:
        """Whether this process consumes the queue, or has calls of it in hand."""
        return name in self._takers

    def takes(self, name: str) -> bool:
        """Whether this process consumes the queue."""
        return name in self._takers and self._takers[name].is_open

    def used(self, *, at_least_every: float) -> list[str]:
        """The queues that calls were taken from since they were named last, so many seconds ago."""
        now = time.monotonic()
        noted = {name: at for name, at in self._noted.items() if name in self._takers}
        due = []
        for name, taker in self._takers.items():
            at, taken = noted.get(name, (float("-inf"), 0))
            if (taker.running or taker.taken != taken) and now - at >= at_least_every:
                due.append(name)
                noted[name] = now, taker.taken
        self._noted = noted
        return due

    async def stop(self) -> None:
        """Take nothing more."""
        self._draining = True
        await asyncio.gather(*(taker.cancel() for taker in self._takers.values()))

    async def finish(self, timeout: float) -> int:
        """Wait until all in hand has ended, at most *timeout* seconds; return what is left.

        What is left stays unacked: the broker redelivers it when the connection closes.
        """
        end = time.monotonic() + timeout
        while (running := self.in_hand()) and (left := end - time.monotonic()) > 0:
            await asyncio.wait(running, timeout=left)
        left_over = self.in_hand()
        for task in left_over:
            task.cancel()
        await asyncio.gather(*(taker.flush() for taker in self._takers.values()))
        return len(left_over)

    def _drop(self, name: str) -> Taker:
        taker = self._takers.pop(name)
        for task in taker.running:
            self._left.add(task)
            task.add_done_callback(self._left.discard)
        return taker

    async def _open(self, connection: AbstractConnection, queue: str, handler: Handler) -> bool:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                taker = await Taker.open(
                    connection, queue, handler, prefetch=self._prefetch, on_lost=self._on_lost
                )
        except ChannelNotFoundEntity:
            # Not declared yet, or deleted and that is not known here yet.
            return False
        except asyncio.CancelledError:
            if told_to_stop():
                raise
            return False
        except Exception as error:  # noqa: BLE001  aiormq raises bare Exceptions too
            log.warning("queue not consumed", queue=queue, error=str(error))
            return False
        self._takers[queue] = taker
        if connection is not self._connection:
            self._drop(queue).lost()
        elif self._draining:
            await taker.cancel()
        return self.takes(queue)
