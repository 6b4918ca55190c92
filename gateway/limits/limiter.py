"""Permits for all processes together: from Redis, or from the local share while it is away."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from redis.asyncio import Redis

from gateway.metrics import Metrics

from .buckets import Bucket
from .grant import Ask, Grant, Reason
from .ledgers import Ledgers
from .local import LocalShare
from .membership import Membership
from .standing import Standing
from .store import AHEAD, BUSY, PAUSED, LimitStore, Permits, Report, StoreAwayError

_SHORTEST_WAIT = 0.002


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
        timeout: float = 0.1,
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
        self._saying: set[asyncio.Task[None]] = set()

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
        if self._saying:
            await asyncio.wait(self._saying)
        await self._membership.close()

    async def beat(self) -> None:
        """Do now what `start` has done every `beat_seconds`."""
        await self._membership.beat()

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        """A grant for each ask, served in this order; what is granted counts as used at once."""
        now = self._clock()
        grants = [self._paused(ask, now) for ask in asks]
        open_asks = [ask for ask, grant in zip(asks, grants, strict=True) if grant is None]
        if open_asks:
            answers = iter(await self._take(open_asks))
            grants = [grant or next(answers) for grant in grants]
        return [grant for grant in grants if grant is not None]

    def release(self, buckets: Sequence[Bucket], holder: str) -> None:
        """Give back the places that a call took: it is not under way any more."""
        for bucket in buckets:
            ledger = self._ledgers.known(bucket) if bucket.at_once else None
            if ledger is not None and holder in ledger.holders:
                ledger.holders.discard(holder)
                self._say(self._free(bucket, holder))

    async def rejected(self, bucket: Bucket, seconds: float, sent_at: float) -> bool:
        """Feishu refused a request sent then (monotonic): stop the bucket in the whole fleet.

        A longer pause stays as it is; a refusal of what was under way by then teaches nothing.
        """
        ledger, now = self._ledgers.of(bucket), self._clock()
        ledger.refused_at = ledger.refused_at or sent_at
        ledger.canary = False
        ledger.pause(now + seconds, None)
        self._ledgers.owe(bucket)
        if self._standing.epoch is not None and not self._standing.is_away:
            try:
                await self._ledgers.tell(self._standing.epoch)
            except StoreAwayError as error:
                self._membership.leave(error)
        return True

    def accepted(self, buckets: Sequence[Bucket], permit_at: float) -> None:
        """Feishu took a request whose permit held from then on (monotonic)."""
        now = self._clock()
        self._ledgers.travel.add(permit_at, now)
        for bucket in buckets:
            ledger = self._ledgers.known(bucket)
            if ledger is not None and ledger.canary:
                ledger.canary = False
                self._say(self._reopen(bucket))

    def paused(self) -> list[Bucket]:
        """Buckets that are paused now, as this process has heard."""
        return self._ledgers.paused(self._clock())

    def _paused(self, ask: Ask, now: float) -> Grant | None:
        for place, bucket in enumerate(ask.buckets):
            ledger = self._ledgers.known(bucket)
            if ledger is not None and ledger.paused_until > now:
                return Grant(0, 0.0, ledger.paused_until - now, "paused", place)
        return None

    async def _take(self, asks: Sequence[Ask]) -> list[Grant]:
        for _ in range(2):
            await self._membership.find_store()
            if self._standing.is_away or self._standing.is_lost(self._clock()):
                return [await self._take_local(ask) for ask in asks]
            if rest := self._standing.settles_in(self._clock()):
                return [Grant(0, 0.0, rest, "settling")] * len(asks)
            grants = await self._take_shared(asks)
            if grants is not None:
                return grants
        return [Grant(0, 0.0, self._beat_seconds, "settling")] * len(asks)

    async def _take_shared(self, asks: Sequence[Ask]) -> list[Grant] | None:
        """Ask the store; none when its answer does not count, because the epoch is another."""
        epoch, sent = self._standing.epoch, self._clock()
        if epoch is None:
            return None
        try:
            self._metrics.limit_asks.inc()
            # Only who was told to wait may book: whoever just came would always be first.
            books = any(self._awaits(ask) for ask in asks)
            answer = await self._store.acquire(asks, self._ledgers.margins, epoch, books=books)
            now = self._clock()
            self._standing.hear(sent, now, answer.now)
            if answer.permits is None:
                await self._membership.adopt(answer.epoch, answer.now)
                return None
        except StoreAwayError as error:
            self._membership.leave(error)
            return [await self._take_local(ask) for ask in asks]
        if self._standing.is_doubtful:
            # What was granted on the word of a clock that was moved is not used.
            await self._membership.beat()
            return None
        self._local.clear()
        pairs = zip(asks, answer.permits, strict=True)
        return [self._note(ask, permits, now, epoch) for ask, permits in pairs]

    def _awaits(self, ask: Ask) -> bool:
        ledgers = [self._ledgers.known(bucket) for bucket in ask.buckets]
        return any(ledger.is_awaited for ledger in ledgers if ledger is not None)

    def _note(self, ask: Ask, permits: Permits, now: float, epoch: int) -> Grant:
        reason: Reason = "window" if permits.reason else ""
        index = permits.place - 1
        if permits.reason == BUSY:
            reason = "busy"
        elif permits.reason == PAUSED:
            reason = "paused"
            self._ledgers.of(ask.buckets[index]).pause(now + permits.wait, epoch)
        if permits.granted:
            self._count(ask, permits.granted, now + permits.delay, epoch)
            for place, bucket in enumerate(ask.buckets):
                if permits.canaries >> place & 1:
                    self._ledgers.of(bucket).canary = True
        if reason == "window":
            self._ledgers.of(ask.buckets[index]).is_awaited = True
        elif not reason:
            for bucket in ask.buckets:
                self._ledgers.of(bucket).is_awaited = False
        # Asked for a little earlier, the next permit can be booked for the moment it is free; how
        # much is left to chance, so that it is not always the same process that comes first.
        early = AHEAD * random.uniform(0.8, 1.0) if reason == "window" else 0.0  # noqa: S311
        wait = max(permits.wait - early, _SHORTEST_WAIT) if reason else 0.0
        return Grant(permits.granted, permits.delay, wait, reason, index)

    async def _take_local(self, ask: Ask) -> Grant:
        now, place = self._clock(), self._standing.place
        times = (now, self._standing.shared_clock(now))
        ledgers = [self._ledgers.of(bucket) for bucket in ask.buckets]
        grant = await self._local.take(ask, ledgers, place, times)
        if grant.granted:
            self._count(ask, grant.granted, now, None)
            for bucket in ask.buckets:
                self._ledgers.owe(bucket)
        return grant

    def _count(self, ask: Ask, permits: int, at: float, epoch: int | None) -> None:
        for bucket in ask.buckets:
            ledger = self._ledgers.of(bucket)
            ledger.add(at, permits, epoch)
            if bucket.at_once:
                ledger.holders.add(ask.holder)
        self._metrics.limit_permits.labels("local" if epoch is None else "redis").inc(permits)

    async def _free(self, bucket: Bucket, holder: str) -> None:
        epoch = self._standing.epoch
        if epoch is not None and not self._standing.is_away:
            with contextlib.suppress(StoreAwayError):  # then the lease ends by itself
                await self._store.keep_places([(bucket, [holder])], epoch, free=True)

    async def _reopen(self, bucket: Bucket) -> None:
        epoch = self._standing.epoch
        if epoch is not None and not self._standing.is_away:
            with contextlib.suppress(StoreAwayError):  # then the next canary opens it
                await self._store.report([Report(bucket, passed=True)], epoch)

    def _say(self, saying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(saying)
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)
