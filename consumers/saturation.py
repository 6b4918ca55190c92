"""Which buckets are known to be full, until when, and how soon a place in line can be served."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant, Reason
from schemas.names import LANES, Lane

from .backlog import Backlog

SHORTEST_WAIT = 0.002
"""Seconds between two questions about a bucket that has nothing, at least."""
MOST_KNOWN = 4096
"""Entries kept before those that are over are dropped."""


class Saturation:
    """What the limiter last said of each bucket. Times are time.monotonic()."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._full: dict[tuple[str, Lane], float] = {}
        self._busy: dict[str, float] = {}
        self._open: dict[str, float] = {}
        """Buckets that are full because a breaker is open, which may close before that."""

    def hear(self, ask: Ask, grant: Grant, now: float) -> None:
        """Note what is in the way of the rest of an ask, and until when."""
        if grant.granted < ask.want:
            # What is in the way of no bucket in particular is in the way of all at this API.
            bucket = ask.buckets[max(0, grant.bucket)]
            until = now + max(SHORTEST_WAIT, grant.wait)
            self.note(bucket, ask.lane, grant.reason, until, now)

    def note(self, bucket: Bucket, lane: Lane, reason: Reason, until: float, now: float) -> None:
        """The limiter has nothing of this bucket before *until*.

        A window that is full for bulk calls may have room for interactive ones.
        """
        if reason == "open":
            self._open[bucket.key] = until
        else:
            self._open.pop(bucket.key, None)
        if reason == "busy":
            self._busy[bucket.key] = until
        elif reason != "window":
            self._full.update({(bucket.key, each): until for each in LANES})
        else:
            self._full[bucket.key, lane] = until
            if lane == "interactive":
                bulk_until = self._full.get((bucket.key, "bulk"), 0.0)
                self._full[bucket.key, "bulk"] = max(bulk_until, until)
        if len(self._full) + len(self._busy) + len(self._open) > MOST_KNOWN:
            self._open = {key: end for key, end in self._open.items() if end > now}
            self._full = {key: end for key, end in self._full.items() if end > now}
            self._busy = {key: end for key, end in self._busy.items() if end > now}

    def freed(self, bucket: Bucket) -> None:
        """A place of the bucket was given back: asking makes sense again."""
        self._busy.pop(bucket.key, None)

    def reopened(self) -> None:
        """A breaker lets somebody through: asking for what it concerns makes sense again."""
        for key, until in self._open.items():
            for lane in LANES:
                if self._full.get((key, lane)) == until:
                    del self._full[key, lane]
        self._open.clear()

    def is_open(self, bucket: Bucket, now: float) -> bool:
        """Whether it is a breaker for which calls wait here."""
        return self._open.get(bucket.key, 0.0) > now

    def until(self, bucket: Bucket, lane: Lane) -> float:
        """When asking for this bucket makes sense again; in the past where it does now."""
        closed = self._full.get((bucket.key, lane), 0.0)
        return max(closed, self._busy.get(bucket.key, 0.0)) if self._busy else closed

    def ready_at(self, buckets: Iterable[Bucket], lane: Lane) -> float:
        """When asking for all of them makes sense again."""
        return max((self.until(bucket, lane) for bucket in buckets), default=0.0)

    def is_saturated(self, bucket: Bucket, lane: Lane, now: float) -> bool:
        """Whether calls wait for this bucket, here or in the broker."""
        return self.until(bucket, lane) > now or self._backlog.depth(bucket.key, lane) > 0

    def soonest(self, bucket: Bucket, lane: Lane, place: int, now: float) -> float:
        """Seconds that the one in this place waits for the bucket at least.

        A place that is taken may be free at any time, so a busy bucket counts for nothing here.
        """
        turn = max((place // window.limit * window.seconds for window in bucket.windows), default=0)
        return max(0.0, self._full.get((bucket.key, lane), 0.0) - now) + turn
