"""Keeps the records in order: this process's lease, what is not written yet, what is too old."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import structlog

from .in_hand import InHand
from .store import BEAT_SECONDS, Store, StoreAway
from .writer import Writer

_PURGE_SECONDS = 600.0
_PURGE_REST = 0.2
_LOOKS = 10
"""How often between two beats it is looked whether the store went away, to find it again soon."""

log = structlog.get_logger(__name__)


class Keeper:
    """Renews leases every second, and purges Postgres every ten minutes or so."""

    def __init__(
        self, store: Store, arbiter: Store | None, purge: Callable[[], Awaitable[int]]
    ) -> None:
        self.in_hand = InHand()
        self.writer = Writer(store)
        self._store = store
        self._arbiter = arbiter
        self._purge = purge
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Renew once, then in the background."""
        await self.beat()
        self._tasks = [
            asyncio.create_task(self._beat_on(), name="outcomes-beat"),
            asyncio.create_task(self._purge_on(), name="outcomes-purge"),
        ]

    async def close(self) -> None:
        """Write what is not written, then end the leases."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.writer.close()
        for store in (self._store, self._arbiter):
            if store is not None:
                with contextlib.suppress(StoreAway):  # then the lease ends by itself
                    await store.leave()

    async def beat(self) -> None:
        """Do now what `start` has done every second."""
        with contextlib.suppress(StoreAway):  # whoever needs the store finds that out
            if await self._store.beat():
                await self._mark_again()
            await self.writer.catch_up()
        if self._arbiter is not None and self.in_hand.any_in_arbiter():
            with contextlib.suppress(StoreAway):
                await self._arbiter.beat()

    async def _mark_again(self) -> None:
        """Mark what is started once more: a duplicate that finds nothing would be made as well."""
        started = [held.question for held in self.in_hand.started()]
        await asyncio.gather(
            *(self._store.begin(question, "", careful=False) for question in started)
        )

    async def _beat_on(self) -> None:
        while True:
            for _ in range(_LOOKS):
                await asyncio.sleep(BEAT_SECONDS / _LOOKS)
                if self._store.is_away:
                    break
            try:
                await self.beat()
            except Exception:
                log.exception("defect while keeping the outcome records")

    async def _purge_on(self) -> None:
        while True:
            # At another moment in each process.
            await asyncio.sleep(_PURGE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                deleted = 1
                while deleted:
                    deleted = await self._purge()
                    await asyncio.sleep(_PURGE_REST)
            except StoreAway as away:
                log.info("outcomes not purged", reason=str(away))
