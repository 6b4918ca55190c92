"""What this process was granted lately, by its own clock: the truth when the store forgets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .buckets import Bucket

_GRAINS = 50
_SCARCE_SECONDS = 2.0


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
    `is_awaited` that it was told to wait for a permit, `awaited_at` when for the last time.
    """

    __slots__ = (
        "_entries",
        "_pause_epoch",
        "_taken_back",
        "awaited_at",
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
        self.awaited_at = -math.inf
        self.holders: set[str] = set()
        self._pause_epoch: int | None = None
        self._entries: deque[Entry] = deque()
        self._taken_back: list[Entry] = []

    def add(self, now: float, permits: int, epoch: int | None) -> None:
        """Note a grant; those of one grain of time share an entry, dated at the grain's end."""
        self.forget(now)
        at = _grain_end(now, self.bucket)
        last = self._entries[-1] if self._entries else None
        if last is not None and last.epoch == epoch and last.at >= at:
            last.permits += permits
        else:
            self._entries.append(Entry(at, permits, epoch))

    def is_scarce(self, now: float) -> bool:
        """Whether this process was told to wait for a permit a moment ago."""
        return now - self.awaited_at <= _SCARCE_SECONDS

    def move(self, granted_at: float, to: float) -> bool:
        """Count one permit, granted then or a little later, as one of a later time."""
        index = len(self._entries)
        while index and self._entries[index - 1].at >= granted_at:
            index -= 1
        entry = self._entries[index] if index < len(self._entries) else None
        at = _grain_end(to, self.bucket)
        if entry is None or entry.at >= at:
            return False
        entry.permits -= 1
        if entry.epoch is not None:
            self._taken_back.append(Entry(granted_at, -1, entry.epoch))
        if not entry.permits:
            del self._entries[index]
        self._put(Entry(at, 1, None))
        return True

    def _put(self, entry: Entry) -> None:
        place = len(self._entries)
        while place and self._entries[place - 1].at > entry.at:
            place -= 1
        before = self._entries[place - 1] if place else None
        if before is not None and before.at == entry.at and before.epoch == entry.epoch:
            before.permits += entry.permits
        else:
            self._entries.insert(place, entry)

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
        """Entries that the log of this epoch lacks, oldest first, and what it is to take back."""
        self.forget(now)
        lacking = [entry for entry in self._entries if entry.epoch != epoch]
        return lacking + [entry for entry in self._taken_back if entry.epoch == epoch]

    def unreported_pause(self, now: float, epoch: int) -> float:
        """Seconds of a pause that the store of this epoch has not heard of."""
        return max(0.0, self.paused_until - now) if self._pause_epoch != epoch else 0.0

    def mark(self, epoch: int | None) -> None:
        """All of it is in the log of this epoch now, or in none that counts."""
        self._pause_epoch = epoch
        self._taken_back.clear()
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
