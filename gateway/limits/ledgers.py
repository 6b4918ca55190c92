"""The ledgers of all buckets, and telling the store what it may lack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .buckets import USUAL, Bucket
from .ledger import Ledger, ages
from .store import LimitStore, Report
from .travel import Travel

_SWEEP_SECONDS = 5.0


class Ledgers:
    """What this process was granted of every bucket it used lately."""

    def __init__(self, store: LimitStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self.travel = Travel()
        """What this process asks the fleet for; of all buckets together."""
        self.margins = USUAL
        """What the fleet takes."""
        self._ledgers: dict[str, Ledger] = {}
        self._untold: set[str] = set()
        self._telling = asyncio.Lock()
        self._sweep_at = 0.0

    def of(self, bucket: Bucket) -> Ledger:
        """The bucket's ledger, remembering for as long as its windows now ask for."""
        ledger = self._ledgers.get(bucket.key)
        if ledger is None:
            ledger = self._ledgers[bucket.key] = Ledger(bucket)
        elif ledger.bucket != bucket:
            ledger.bucket = bucket
        return ledger

    def known(self, bucket: Bucket) -> Ledger | None:
        """The bucket's ledger, where it was used lately."""
        return self._ledgers.get(bucket.key)

    async def keep_places(self, epoch: int) -> None:
        """Renew the places of calls under way. Raise StoreAwayError."""
        kept = [(each.bucket, set(each.holders)) for each in self._ledgers.values() if each.holders]
        await self._store.keep_places(kept, epoch)
        # What was given back meanwhile may have been renewed afterwards.
        ended = [(bucket, names - self.of(bucket).holders) for bucket, names in kept]
        await self._store.keep_places([pair for pair in ended if pair[1]], epoch, free=True)

    def paused(self, now: float) -> list[Bucket]:
        """Buckets whose pause is not over."""
        return [each.bucket for each in self._ledgers.values() if each.paused_until > now]

    def owe(self, bucket: Bucket) -> None:
        """The store does not know of the bucket's last grant or pause."""
        self._untold.add(bucket.key)

    def owe_all(self) -> None:
        """The store knows nothing: its epoch is new."""
        self._untold.update(self._ledgers)

    async def tell(self, epoch: int) -> None:
        """Report what is owed; what could not be told stays owed. Raise StoreAwayError."""
        async with self._telling:
            keys, self._untold = self._untold, set()
            now = self._clock()
            owing = [ledger for key in keys if (ledger := self._ledgers.get(key))]
            reports = [_report(ledger, now, epoch) for ledger in owing]
            # Marked beforehand: grants that come in while this waits are entries of their own.
            for ledger in owing:
                ledger.mark(epoch)
            told = False
            try:
                told = await self._store.report([r for r in reports if r.grants or r.pause], epoch)
            finally:
                if not told:
                    for ledger in owing:
                        ledger.mark(None)
                    self._untold |= keys

    def sweep(self) -> None:
        """Drop ledgers in which nothing matters any more."""
        now = self._clock()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        for key in [key for key, ledger in self._ledgers.items() if ledger.is_idle(now)]:
            del self._ledgers[key]

    def __len__(self) -> int:
        return len(self._ledgers)


def _report(ledger: Ledger, now: float, epoch: int) -> Report:
    refused, ledger.refused_at = ledger.refused_at, None
    return Report(
        ledger.bucket,
        ages(ledger.unreported(now, epoch), now),
        ledger.unreported_pause(now, epoch),
        refused_after=None if refused is None else max(0.0, now - refused),
    )
