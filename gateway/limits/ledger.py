"""What this process was granted lately, by its own clock: the truth when the store forgets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .buckets import Bucket

_GRAINS = 50


@dataclass(slots=True)
class Entry:
    """Permits granted at about one time; `epoch` is the one whose log has them, if any has."""

    at: float
    permits: int
    epoch: int | None


class Ledger:
    """The grants of one bucket within its longest window, its pause, and its calls under way.

    Times are monotonic. `refused_at` is when the request was sent whose refusal the store has not
    learnt from yet; `canary` says that a request of this process tests whether a pause is over,
    `is_awaited` that it was told to wait for a permit.
    """

    __slots__ = (
        "_entries",
        "_pause_epoch",
        "bucket",
        "canary",
        "holders",
        "is_awaited",
        "paused_until",
        "refused_at",
    )

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.paused_until = 0.0
        self.refused_at: float | None = None
        self.canary = False
        self.is_awaited = False
        self.holders: set[str] = set()
        self._pause_epoch: int | None = None
        self._entries: deque[Entry] = deque()

    def add(self, now: float, permits: int, epoch: int | None) -> None:
        """Note a grant; those of one grain of time share an entry, dated at the grain's end."""
        self.forget(now)
        at = _grain_end(now, self.bucket)
        last = self._entries[-1] if self._entries else None
        if last is not None and last.epoch == epoch and last.at >= at:
            last.permits += permits
        else:
            self._entries.append(Entry(at, permits, epoch))

    def forget(self, now: float) -> None:
        """Drop what no window counts any more."""
        horizon = now - self.bucket.longest
        while self._entries and self._entries[0].at <= horizon:
            self._entries.popleft()

    def used(self, now: float, seconds: float) -> int:
        """Permits granted in the last so many seconds."""
        total = 0
        for entry in reversed(self._entries):
            if entry.at <= now - seconds:
                break
            total += entry.permits
        return total

    def opens(self, now: float, seconds: float, limit: int) -> float:
        """Seconds until fewer than `limit` permits are used; 0 when that is so now."""
        total = 0
        for entry in reversed(self._entries):
            total += entry.permits
            if total >= limit:
                return max(0.0, entry.at + seconds - now)
        return 0.0

    def pause(self, until: float, epoch: int | None) -> None:
        """Lengthen the pause, never shorten it; `epoch` is the one whose store knows of it."""
        if until > self.paused_until:
            self.paused_until, self._pause_epoch = until, epoch

    def unreported(self, now: float, epoch: int) -> list[Entry]:
        """Entries that the log of this epoch lacks, oldest first."""
        self.forget(now)
        return [entry for entry in self._entries if entry.epoch != epoch]

    def unreported_pause(self, now: float, epoch: int) -> float:
        """Seconds of a pause that the store of this epoch has not heard of."""
        return max(0.0, self.paused_until - now) if self._pause_epoch != epoch else 0.0

    def mark(self, epoch: int | None) -> None:
        """All of it is in the log of this epoch now, or in none that counts."""
        self._pause_epoch = epoch
        for entry in self._entries:
            entry.epoch = epoch

    def is_idle(self, now: float) -> bool:
        """Whether nothing in here matters any more."""
        self.forget(now)
        return not (self._entries or self.holders) and self.paused_until <= now


def ages(entries: Sequence[Entry], now: float) -> list[tuple[float, int]]:
    """Seconds ago and permits of each entry."""
    return [(max(0.0, now - entry.at), entry.permits) for entry in entries]


def _grain_end(now: float, bucket: Bucket) -> float:
    shortest = min(bucket.spans(), default=0.0)
    grain = shortest / _GRAINS
    return math.ceil(now / grain) * grain if grain else now
