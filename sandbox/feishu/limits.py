"""Feishu's rate limits: per app and API, and per chat."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from schemas.apis import Api, Window


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

    __slots__ = ("_times", "most", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.most = 0
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        times = self._times
        self._evict(now)
        times.append(now)
        if len(times) > self.most:
            self.most = len(times)

    def free_at(self, limit: int, now: float) -> float | None:
        """When the window has room again, None when it has room now."""
        self._evict(now)
        excess = len(self._times) - limit
        return None if excess < 0 else self._times[excess] + self.seconds

    def _evict(self, now: float) -> None:
        times = self._times
        while times and times[0] + self.seconds <= now:
            times.popleft()


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
    """The limit of one API for one app, over all its windows; what it rejects it does not count."""

    def __init__(self, windows: Iterable[Window], model: WindowModel) -> None:
        windows = tuple(windows)
        self.accepted = 0
        self.rejected = 0
        self.logs = {s: WindowLog(s) for s in sorted({1, 60, *(w.seconds for w in windows)})}
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
                self.rejected += 1
                at, window = max(full, key=lambda item: item[0])
                return Rejection(window.limit, max(1, math.ceil(at - now)))
        for meter in self._meters:
            meter.add(now)
        for log in self.logs.values():
            log.add(now)
        self.accepted += 1
        return None


class Limits:
    """All buckets. `overrides` replaces the catalogue's windows by API name, `statuses` the 429."""

    def __init__(
        self,
        *,
        enabled: bool = True,
        model: WindowModel = WindowModel.SLIDING,
        overrides: Mapping[str, tuple[Window, ...]] | None = None,
        statuses: Mapping[str, int] | None = None,
    ) -> None:
        self.enabled = enabled
        self.model = model
        self.overrides = dict(overrides or {})
        self.statuses = dict(statuses or {})
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def admit(self, app_id: str, api: Api, now: float) -> Rejection | None:
        """Count a request, or refuse it uncounted."""
        key = (app_id, api.name)
        bucket = self._buckets.get(key)
        if bucket is None:
            windows = self.overrides.get(api.name, api.windows)
            bucket = self._buckets[key] = Bucket(windows, self.model)
        return bucket.admit(now, enforce=self.enabled)

    def status(self, api: Api) -> int:
        """The HTTP status of a rejection; older APIs say 400."""
        return self.statuses.get(api.name, 429)

    def override(self, name: str, windows: tuple[Window, ...] | None) -> None:
        """Set an API's windows (none: unlimited; None: as catalogued) and begin its counts anew."""
        if windows is None:
            self.overrides.pop(name, None)
        else:
            self.overrides[name] = windows
        for key in [key for key in self._buckets if key[1] == name]:
            del self._buckets[key]

    def clear(self) -> None:
        """Forget what was counted; configuration stays."""
        self._buckets.clear()

    def statistics(self) -> list[dict[str, Any]]:
        """Per app and API: accepted, rejected, and the most accepted in any sliding window."""
        return [
            {
                "app_id": app_id,
                "api": name,
                "accepted": bucket.accepted,
                "rejected": bucket.rejected,
                "most_in_window": {str(log.seconds): log.most for log in bucket.logs.values()},
            }
            for (app_id, name), bucket in self._buckets.items()
        ]


class ReceiverLimit:
    """At most `limit` sends a second to one chat, user or message; None is no limit."""

    _PRUNE_ABOVE = 10_000

    def __init__(self, limit: int | None = 5) -> None:
        self.limit = limit
        self.rejected = 0
        self._sends: dict[str, deque[float]] = {}

    def admit(self, receiver: str, now: float) -> bool:
        """Count a send, or refuse it uncounted."""
        if self.limit is None:
            return True
        sends = self._sends.setdefault(receiver, deque())
        while sends and sends[0] + 1.0 <= now:
            sends.popleft()
        if len(sends) >= self.limit:
            self.rejected += 1
            return False
        sends.append(now)
        if len(self._sends) > self._PRUNE_ABOVE:
            self._sends = {key: log for key, log in self._sends.items() if log[-1] + 1.0 > now}
        return True

    def clear(self) -> None:
        self.rejected = 0
        self._sends.clear()
