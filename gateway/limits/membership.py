"""This process among those that share the limits: its beat, and its trust in the store."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable

import structlog

from gateway.metrics import Metrics

from .buckets import USUAL
from .ledgers import Ledgers
from .standing import Standing
from .store import LimitStore, StoreAwayError

log = structlog.get_logger(__name__)

_LIFETIME_SECONDS = 10.0


class Membership:
    """Keeps one process known to the store, and the store told of what the process was granted."""

    def __init__(
        self,
        store: LimitStore,
        ledgers: Ledgers,
        standing: Standing,
        metrics: Metrics,
        *,
        beat_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._ledgers = ledgers
        self._standing = standing
        self._metrics = metrics
        self._beat_seconds = beat_seconds
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._beating = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make this process known and keep it so until `close`."""
        await self.beat()
        self._task = asyncio.create_task(self._keep_beating(), name="limiter-beat")

    async def close(self) -> None:
        """Stop the beat and leave, so that the others' shares grow."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if not self._standing.is_away:
            with contextlib.suppress(StoreAwayError):
                await self._store.beat(self._id, lifetime=_LIFETIME_SECONDS, leaves=True)

    async def beat(self) -> None:
        """Be counted, learn the epoch, tell what is owed; so a store that was away is found."""
        async with self._beating:
            try:
                epoch = await self._beat_once()
                if self._standing.is_doubtful:
                    epoch = await self._beat_once()
                await self._ledgers.tell(epoch)
                await self._ledgers.keep_places(epoch)
            except StoreAwayError as error:
                self.leave(error)
                return
            if self._standing.is_away:
                self._standing.back()
                self._metrics.limit_degraded.set(0)
                log.info("limiter_store_back")
            self._ledgers.sweep()

    async def find_store(self) -> None:
        """Look for a store that was never seen, or is away and not looked for by the beat."""
        standing = self._standing
        due = self._clock() >= standing.probe_at and not self._beating.locked()
        if (standing.is_away and due) or (standing.epoch is None and not standing.is_away):
            await self.beat()

    async def adopt(self, epoch: int, store_now: int) -> None:
        """Go over to the store's epoch and, if it is new, tell it everything."""
        known = self._standing.epoch
        if self._standing.adopt(epoch, store_now, self._clock()):
            if known is not None:
                log.warning("limiter_store_new_epoch", buckets=len(self._ledgers))
            self._ledgers.owe_all()
            await self._ledgers.tell(epoch)

    def leave(self, error: StoreAwayError) -> None:
        """Do without the store from now on."""
        if not self._standing.is_away:
            log.warning("limiter_store_away", error=str(error))
        self._standing.leave(self._clock())
        self._metrics.limit_degraded.set(1)

    async def _beat_once(self) -> int:
        standing, sent = self._standing, self._clock()
        ends = standing.epoch_to_end(sent)
        margins = self._ledgers.travel.margins(sent)
        beat = await self._store.beat(
            self._id, lifetime=_LIFETIME_SECONDS, ends=ends, margins=margins
        )
        self._ledgers.margins = beat.margins or USUAL
        standing.hear(sent, self._clock(), beat.now)
        standing.recognise(beat.run)
        standing.count(beat.live, beat.rank)
        await self.adopt(beat.epoch, beat.now)
        return beat.epoch

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds * random.uniform(0.9, 1.1))  # noqa: S311
            await self.beat()
