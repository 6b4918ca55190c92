"""Windows of time, and a bucket that has several of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from schemas.apis import Window, parse_windows

from .series import Series


class WindowModel(StrEnum):
    """How a window of time moves; Feishu does not say which of them it uses."""

    SLIDING = "sliding"
    ALIGNED = "aligned"
    FIRST_HIT = "first_hit"


@dataclass(frozen=True, slots=True)
class Rejection:
    """`reset` is in whole seconds, at least 1."""

    limit: int
    reset: int


class WindowLog:
    """When requests were accepted in the last `seconds`, and the most that any window held."""

    __slots__ = ("_stale", "_times", "most", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.most = 0
        self._times: deque[float] = deque()
        self._stale = 0

    def add(self, now: float) -> None:
        times = self._times
        self._evict(now)
        times.append(now)
        held = len(times) - self._stale
        if held > self.most:
            self.most = held

    def free_at(self, limit: int, now: float) -> float | None:
        """When the window has room again, None when it has room now."""
        self._evict(now)
        excess = len(self._times) - limit
        return None if excess < 0 else self._times[excess] + self.seconds

    def begin_anew(self) -> None:
        """Look for the most among requests from now on; what is held still fills the window."""
        self.most = 0
        self._stale = len(self._times)

    @property
    def last(self) -> float:
        """When the newest request held was accepted, minus infinity without any."""
        return self._times[-1] if self._times else -math.inf

    def _evict(self, now: float) -> None:
        times = self._times
        while times and times[0] + self.seconds <= now:
            times.popleft()
            if self._stale:
                self._stale -= 1


class Meter(Protocol):
    """One window of a limit."""

    window: Window

    def free_at(self, now: float) -> float | None: ...
    def add(self, now: float) -> None: ...


class SlidingMeter:
    """Any `seconds` hold at most `limit`; reads the log that the statistics keep anyway."""

    __slots__ = ("_log", "window")

    def __init__(self, window: Window, log: WindowLog) -> None:
        self.window = window
        self._log = log

    def free_at(self, now: float) -> float | None:
        return self._log.free_at(self.window.limit, now)

    def add(self, now: float) -> None:
        """Nothing to do: the log is written by its bucket."""


class FixedMeter:
    """Counts from the start of a window, which is a multiple of its length or the first request."""

    __slots__ = ("_aligned", "_count", "_start", "window")

    def __init__(self, window: Window, *, aligned: bool) -> None:
        self.window = window
        self._aligned = aligned
        self._start = -math.inf
        self._count = 0

    def free_at(self, now: float) -> float | None:
        end = self._start + self.window.seconds
        return end if now < end and self._count >= self.window.limit else None

    def add(self, now: float) -> None:
        if now >= self._start + self.window.seconds:
            self._start = now - now % self.window.seconds if self._aligned else now
            self._count = 0
        self._count += 1


class Bucket:
    """One limit over all its windows; what it rejects it does not count.

    `watch` names the lengths, in seconds, of further windows of which the most is to be known;
    they limit nothing. With a `series` every second is counted apart.
    """

    __slots__ = ("_meters", "accepted", "logs", "rejected", "series")

    def __init__(
        self,
        windows: Iterable[Window],
        model: WindowModel,
        *,
        watch: Iterable[float] = (1, 60),
        series: Series | None = None,
    ) -> None:
        windows = tuple(windows)
        self.accepted = 0
        self.rejected = 0
        self.series = series
        self.logs: dict[float, WindowLog] = {
            seconds: WindowLog(seconds)
            for seconds in sorted({*watch, *(window.seconds for window in windows)})
        }
        self._meters = [self._meter(window, model) for window in windows]

    def _meter(self, window: Window, model: WindowModel) -> Meter:
        if model is WindowModel.SLIDING:
            return SlidingMeter(window, self.logs[window.seconds])
        return FixedMeter(window, aligned=model is WindowModel.ALIGNED)

    def admit(self, now: float, *, enforce: bool) -> Rejection | None:
        """Count the request, or say which window is full and for how long."""
        if enforce:
            full = [(at, m.window) for m in self._meters if (at := m.free_at(now)) is not None]
            if full:
                self.reject(now)
                at, window = max(full, key=lambda item: item[0])
                return Rejection(window.limit, max(1, math.ceil(at - now)))
        for meter in self._meters:
            meter.add(now)
        for log in self.logs.values():
            log.add(now)
        self.accepted += 1
        if self.series is not None:
            self.series.accepted(now)
        return None

    def reject(self, now: float) -> None:
        """Count a rejection, for whatever reason."""
        self.rejected += 1
        if self.series is not None:
            self.series.rejected(now)

    def watch(self, lengths: Iterable[float]) -> None:
        """Watch windows of these lengths instead, from now on; its own stay watched."""
        own = {meter.window.seconds for meter in self._meters}
        kept = {seconds: log for seconds, log in self.logs.items() if seconds in own}
        new = {seconds: self.logs.get(seconds) or WindowLog(seconds) for seconds in lengths}
        self.logs = dict(sorted((kept | new).items()))

    def begin_anew(self) -> None:
        """Forget the statistics; the windows stay as full as they are."""
        self.accepted = self.rejected = 0
        for log in self.logs.values():
            log.begin_anew()
        if self.series is not None:
            self.series.clear()

    def last(self) -> float:
        """When a request was last accepted, as far as the longest window tells."""
        return max((log.last for log in self.logs.values()), default=-math.inf)

    def statistics(self) -> dict[str, Any]:
        """Accepted, rejected, and the most accepted in any sliding window by its length."""
        return {
            "accepted": self.accepted,
            "rejected": self.rejected,
            "most_in_window": {_shown(log.seconds): log.most for log in self.logs.values()},
        }


def read_windows(text: str) -> tuple[Window, ...]:
    """Read limits such as `1000/60;50/1`; empty is no limit. Raises ValueError."""
    return parse_windows(text) if text else ()


def _shown(seconds: float) -> str:
    return str(int(seconds)) if seconds == int(seconds) else str(seconds)
