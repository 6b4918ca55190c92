"""Permits for all processes together: from Redis, or from the local share while it is away."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable
from typing import Literal

import structlog
from redis.asyncio import Redis

from gateway.metrics import Metrics

from .buckets import Bucket
from .grant import Grant, Reason
from .ledger import Ledger
from .ledgers import Ledgers
from .local import LocalShare
from .standing import Standing
from .store import OTHER_EPOCH, PAUSED, Answer, LimitStore, StoreAwayError

log = structlog.get_logger(__name__)

_LIFETIME_SECONDS = 10.0


class Limiter:
    """Grants permits of buckets, in any window no more than its limit, to all processes together.

    Never raises because of Redis: a store that does not answer within `timeout` seconds is left
    for the local share, and found again by the beat in the background, not by a waiting call.
    """

    def __init__(
        self,
        redis: Redis,
        metrics: Metrics,
        *,
        prefix: str = "lark",
        timeout: float = 0.25,
        assumed_processes: int = 4,
        beat_seconds: float = 0.25,
        settle_seconds: float = 0.6,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = LimitStore(redis, prefix=prefix, timeout=timeout)
        self._metrics = metrics
        self._id = secrets.token_hex(8)
        rank = secrets.randbelow(assumed_processes)
        self._standing = Standing(assumed=assumed_processes, rank=rank, settle=settle_seconds)
        self._ledgers = Ledgers(self._store, clock)
        self._local = LocalShare()
        self._beat_seconds = beat_seconds
        self._clock = clock
        self._beating = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def mode(self) -> Literal["redis", "local"]:
        """Who grants now."""
        return "local" if self._standing.is_away else "redis"

    @property
    def live_processes(self) -> int:
        """Processes that share the limits, as last known."""
        return self._standing.place.live

    async def start(self) -> None:
        """Make this process known and keep it so until `close`."""
        await self.beat()
        self._task = asyncio.create_task(self._keep_beating(), name="limiter-beat")

    async def close(self) -> None:
        """Stop the beat and leave, so that the others' shares grow at once."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if not self._standing.is_away:
            with contextlib.suppress(StoreAwayError):
                await self._store.beat(self._id, lifetime=_LIFETIME_SECONDS, leaves=True)

    async def acquire(self, bucket: Bucket, want: int) -> Grant:
        """Take up to `want` permits, at least 1; what is granted counts as used from now on."""
        ledger = self._ledgers.of(bucket)
        for _ in range(2):
            now = self._clock()
            if ledger.paused_until > now:
                return Grant(0, ledger.paused_until - now, "paused")
            await self._find_store(now)
            if self._standing.is_away or self._standing.is_lost(now):
                return await self._take_local(bucket, want, ledger)
            if rest := self._standing.settles_in(self._clock()):
                return Grant(0, rest, "settling")
            grant = await self._take_shared(bucket, want, ledger)
            if grant is not None:
                return grant
        return Grant(0, self._beat_seconds, "settling")

    async def pause(self, bucket: Bucket, seconds: float) -> None:
        """Stop the bucket in the whole fleet for so long; a longer pause stays as it is."""
        self._ledgers.of(bucket).pause(self._clock() + seconds, None)
        self._ledgers.owe(bucket)
        if self._standing.epoch is not None and not self._standing.is_away:
            try:
                await self._ledgers.tell(self._standing.epoch)
            except StoreAwayError as error:
                self._leave(error)

    async def beat(self) -> None:
        """Be counted, learn the epoch, tell what is owed; so a store that was away is found."""
        async with self._beating:
            try:
                epoch = await self._beat_once()
                if self._standing.is_doubtful:
                    epoch = await self._beat_once()
                await self._ledgers.tell(epoch)
            except StoreAwayError as error:
                self._leave(error)
                return
            if self._standing.is_away:
                self._standing.back()
                self._local.clear()
                self._metrics.limit_degraded.set(0)
                log.info("limiter_store_back")
            self._ledgers.sweep()

    async def _beat_once(self) -> int:
        standing, sent = self._standing, self._clock()
        ends = standing.epoch_to_end(sent)
        beat = await self._store.beat(self._id, lifetime=_LIFETIME_SECONDS, ends=ends)
        now = self._clock()
        standing.hear(sent, now, beat.now)
        standing.count(beat.live, beat.rank)
        await self._adopt(beat.epoch, beat.now, now)
        return beat.epoch

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds * random.uniform(0.9, 1.1))  # noqa: S311
            await self.beat()

    async def _find_store(self, now: float) -> None:
        standing = self._standing
        overdue = standing.is_away and now >= standing.probe_at and not self._beating.locked()
        if overdue or (standing.epoch is None and not standing.is_away):
            await self.beat()

    async def _take_shared(self, bucket: Bucket, want: int, ledger: Ledger) -> Grant | None:
        """Ask the store; none when its answer does not count, because the epoch is another."""
        epoch, sent = self._standing.epoch, self._clock()
        if epoch is None:
            return None
        try:
            answer = await self._store.acquire(bucket, want, epoch)
            now = self._clock()
            self._standing.hear(sent, now, answer.now)
            if answer.reason == OTHER_EPOCH:
                await self._adopt(answer.epoch, answer.now, now)
                return None
        except StoreAwayError as error:
            self._leave(error)
            return await self._take_local(bucket, want, ledger)
        if self._standing.is_doubtful:
            await self.beat()
            return None
        return self._note(ledger, answer, now)

    def _note(self, ledger: Ledger, answer: Answer, now: float) -> Grant:
        reason: Reason = "window" if answer.reason else ""
        if answer.reason == PAUSED:
            ledger.pause(now + answer.wait, answer.epoch)
            reason = "paused"
        if answer.granted:
            ledger.add(now, answer.granted, answer.epoch)
            self._metrics.limit_permits.labels("redis").inc(answer.granted)
        return Grant(answer.granted, answer.wait, reason)

    async def _take_local(self, bucket: Bucket, want: int, ledger: Ledger) -> Grant:
        now, place = self._clock(), self._standing.place
        times = (now, self._standing.shared_clock(now))
        grant = await self._local.take(bucket, want, ledger, place, times)
        if grant.granted:
            ledger.add(now, grant.granted, None)
            self._ledgers.owe(bucket)
            self._metrics.limit_permits.labels("local").inc(grant.granted)
        return grant

    async def _adopt(self, epoch: int, store_now: int, now: float) -> None:
        known = self._standing.epoch
        if self._standing.adopt(epoch, store_now, now):
            if known is not None:
                log.warning("limiter_store_new_epoch", buckets=len(self._ledgers))
            self._ledgers.owe_all()
            await self._ledgers.tell(epoch)

    def _leave(self, error: StoreAwayError) -> None:
        if not self._standing.is_away:
            log.warning("limiter_store_away", error=str(error))
        self._standing.leave(self._clock(), forgetful=error.forgetful)
        self._metrics.limit_degraded.set(1)
