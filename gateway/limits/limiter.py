"""Permits for all processes together: from Redis, or from the local share while it is away."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Literal

from redis.asyncio import Redis

from gateway.metrics import Metrics

from .buckets import Bucket
from .grant import Grant, Reason
from .ledger import Ledger
from .ledgers import Ledgers
from .local import LocalShare
from .membership import Membership
from .standing import Standing
from .store import OTHER_EPOCH, PAUSED, Answer, LimitStore, StoreAwayError


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
        self._ledgers = Ledgers(self._store, clock)
        self._local = LocalShare()
        rank = secrets.randbelow(assumed_processes)
        self._standing = Standing(assumed=assumed_processes, rank=rank, settle=settle_seconds)
        self._membership = Membership(
            *(self._store, self._ledgers, self._standing, metrics),
            beat_seconds=beat_seconds,
            clock=clock,
        )
        self._metrics = metrics
        self._beat_seconds = beat_seconds
        self._clock = clock

    @property
    def mode(self) -> Literal["redis", "local"]:
        """Who grants now."""
        return "local" if self._standing.is_away else "redis"

    @property
    def live_processes(self) -> int:
        """Processes that share the limits, as last known."""
        return self._standing.place.live

    async def start(self) -> None:
        """Make this process known to the others until `close`; Redis may be away."""
        await self._membership.start()

    async def close(self) -> None:
        """Leave the others, so that their shares grow."""
        await self._membership.close()

    async def beat(self) -> None:
        """Do now what `start` has done every `beat_seconds`."""
        await self._membership.beat()

    async def acquire(self, bucket: Bucket, want: int) -> Grant:
        """Take up to `want` permits, at least 1; what is granted counts as used from now on."""
        ledger = self._ledgers.of(bucket)
        for _ in range(2):
            now = self._clock()
            if ledger.paused_until > now:
                return Grant(0, 0.0, ledger.paused_until - now, "paused")
            await self._membership.find_store()
            if self._standing.is_away or self._standing.is_lost(now):
                return await self._take_local(bucket, want, ledger)
            if rest := self._standing.settles_in(self._clock()):
                return Grant(0, 0.0, rest, "settling")
            grant = await self._take_shared(bucket, want, ledger)
            if grant is not None:
                return grant
        return Grant(0, 0.0, self._beat_seconds, "settling")

    async def pause(self, bucket: Bucket, seconds: float) -> None:
        """Stop the bucket in the whole fleet for so long; a longer pause stays as it is."""
        self._ledgers.of(bucket).pause(self._clock() + seconds, None)
        self._ledgers.owe(bucket)
        if self._standing.epoch is not None and not self._standing.is_away:
            try:
                await self._ledgers.tell(self._standing.epoch)
            except StoreAwayError as error:
                self._membership.leave(error)

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
                await self._membership.adopt(answer.epoch, answer.now)
                return None
        except StoreAwayError as error:
            self._membership.leave(error)
            return await self._take_local(bucket, want, ledger)
        if self._standing.is_doubtful:
            # What was granted on the word of a clock that was moved is not used.
            await self._membership.beat()
            return None
        self._local.clear()
        return self._note(ledger, answer, now)

    def _note(self, ledger: Ledger, answer: Answer, now: float) -> Grant:
        reason: Reason = "window" if answer.reason else ""
        if answer.reason == PAUSED:
            ledger.pause(now + answer.wait, answer.epoch)
            reason = "paused"
        if answer.granted:
            ledger.add(now, answer.granted, answer.epoch)
            self._metrics.limit_permits.labels("redis").inc(answer.granted)
        return Grant(answer.granted, 0.0, answer.wait, reason)

    async def _take_local(self, bucket: Bucket, want: int, ledger: Ledger) -> Grant:
        now, place = self._clock(), self._standing.place
        times = (now, self._standing.shared_clock(now))
        grant = await self._local.take(bucket, want, ledger, place, times)
        if grant.granted:
            ledger.add(now, grant.granted, None)
            self._ledgers.owe(bucket)
            self._metrics.limit_permits.labels("local").inc(grant.granted)
        return grant
