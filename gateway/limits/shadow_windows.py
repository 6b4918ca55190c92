"""Three ways in which Feishu may count the calls of a window, each of them a prediction. Pure."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from schemas.apis import Window

EXACT = 5_000
"""Permits of a window up to which every call is remembered; beyond it they share grains of time."""
_GRAINS = 100


class Newest:
    """The newest calls of one window, as many as fill it, whenever they were.

    Adding costs O(1). Of a window with more than EXACT permits, calls are dated at the end of a
    hundredth of it, so that there are some hundred numbers and an error of a hundredth.
    """

    __slots__ = ("_entries", "_grain", "_memory", "_total", "limit")

    def __init__(self, window: Window) -> None:
        self.limit = window.limit
        self._grain = window.seconds / _GRAINS if window.limit > EXACT else 0.0
        self._memory = 2.0 * window.seconds
        self._entries: deque[list[float]] = deque()
        self._total = 0

    def add(self, at: float) -> None:
        """Note a call; one that comes out of order counts as late as the one before it."""
        entries = self._entries
        if self._grain:
            at = math.ceil(at / self._grain) * self._grain
        if entries and entries[-1][0] >= at:
            entries[-1][1] += 1
        else:
            entries.append([at, 1])
        self._total += 1
        while self._total - entries[0][1] >= self.limit or entries[0][0] < at - self._memory:
            self._total -= int(entries.popleft()[1])

    @property
    def filled_by(self) -> float:
        """When the call was that fills the window counted from it; minus infinity if none does."""
        return self._entries[0][0] if self._total >= self.limit else -math.inf

    def __len__(self) -> int:
        return len(self._entries)


class Meter(Protocol):
    """One window under one model. Times are Unix seconds.

    A request reaches Feishu at `at`, give or take `doubt` seconds: that much of its travel is not
    known. What lies closer to an edge of the window than that is not predicted.
    """

    window: Window

    @property
    def opens(self) -> float:
        """When the window had, or will have, room after it was last full."""
        ...

    def is_full(self, at: float, doubt: float) -> bool | None:
        """Whether a request is refused; None where both answers would fit."""
        ...

    def take(self, at: float, doubt: float) -> None:
        """Feishu took a request."""
        ...

    def refuse(self, at: float) -> None:
        """Feishu refused a request."""
        ...


class SlidingMeter:
    """Any `seconds` hold at most `limit` requests."""

    __slots__ = ("_newest", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self._newest = Newest(window)

    @property
    def opens(self) -> float:
        """When the oldest of the requests leaves that fill the window."""
        return self._newest.filled_by + self.window.seconds

    def is_full(self, at: float, doubt: float) -> bool | None:
        """Two requests travelled: this one, and the one that leaves."""
        return at < self.opens if abs(at - self.opens) > 2 * doubt else None

    def take(self, at: float, doubt: float) -> None:
        """Count it."""
        self._newest.add(at)

    def refuse(self, at: float) -> None:
        """What is refused is not counted."""


class FixedMeter:
    """Counts from the start of a window: a multiple of its length, or the first request after it.

    A request that came close to the edge may belong to the window before or after: it is counted
    in one of them and remembered as a stray, so that one such does not spoil a whole window.
    """

    __slots__ = (
        *("_aligned", "_before_open", "_count", "_late", "_opened", "_start", "_strays", "window"),
    )

    def __init__(self, window: Window, *, aligned: bool) -> None:
        self.window = window
        self._aligned = aligned
        self._start = -math.inf
        self._opened = -math.inf
        self._count = 0
        self._strays = 0
        self._late = 0
        self._before_open = True

    @property
    def opens(self) -> float:
        """The end of the last window that was full."""
        return self._end if self._count >= self.window.limit else self._opened

    @property
    def _end(self) -> float:
        return self._start + self.window.seconds

    def is_full(self, at: float, doubt: float) -> bool | None:
        """Not predicted close to the end of a full window, nor where strays decide."""
        if abs(at - self.opens) <= doubt:
            return None
        if at >= self._end:
            return False
        limit = self.window.limit
        if self._count - self._strays < limit <= self._count + self._strays:
            return None
        return self._count >= limit

    def take(self, at: float, doubt: float) -> None:
        """Count it, in a new window if it is later than the old one, or found that one full."""
        full = self._count >= self.window.limit
        if at >= self._end or (full and at > self._end - doubt):
            self._begin(max(at, self._end))
        if self._before_open and at - self._start <= doubt:
            self._strays += 1
        elif self._end - at <= doubt:
            self._strays += 1
            self._late += 1
        self._count += 1

    def _begin(self, at: float) -> None:
        seconds, end = self.window.seconds, self._end
        self._opened = self.opens
        self._before_open = self._count < self.window.limit
        self._start = at - at % seconds if self._aligned else at
        self._count = 0
        # What came at the very end of the window before may be of this one.
        self._strays = self._late if self._start - end < seconds else 0
        self._late = 0

    def refuse(self, at: float) -> None:
        """It says that the window is full, if the strays allow that."""
        missing = self.window.limit - self._count
        if at < self._end and 0 < missing <= self._strays:
            self._count, self._strays = self.window.limit, 0
