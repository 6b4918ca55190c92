"""What enforcing would have done with a call that nobody holds up. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from .buckets import Bucket
from .shadow_windows import Newest

LONGEST = 60.0
"""Seconds beyond which a call would have been refused or kept elsewhere: it takes no turn then."""

_MOST_BUCKETS = 512

Verdict = Literal["at_once", "would_wait", "would_pause"]


class Wait(NamedTuple):
    """What would have become of a call, and the seconds until its turn."""

    verdict: Verdict
    seconds: float


class _Line:
    """The turns of one bucket, as the exact log with its margins would have given them."""

    __slots__ = ("_logs", "paused_until")

    def __init__(self, bucket: Bucket) -> None:
        self._logs = [
            (Newest(window), seconds)
            for window, seconds in zip(bucket.windows, bucket.spans(), strict=True)
        ]
        self.paused_until = 0.0

    def take(self, now: float) -> float:
        """When the turn would be, which is then taken."""
        turn = max([now, self.paused_until, *(log.filled_by + span for log, span in self._logs)])
        if turn - now <= LONGEST:
            for log, _ in self._logs:
                log.add(turn)
        return turn


class Waits:
    """Turns of all buckets, for one process's calls only; times are of one monotonic clock.

    The wait of a call with several buckets is that of the one that makes it wait longest; how they
    hold up one another is left out. A call that Feishu refuses and that is sent again counts again.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, _Line] = OrderedDict()

    def take(self, buckets: Sequence[Bucket], now: float) -> Wait:
        """Count a call that is sent now."""
        lines = [self._line(bucket) for bucket in buckets]
        paused = any(line.paused_until > now for line in lines)
        seconds = max([0.0, *(line.take(now) - now for line in lines)])
        if paused:
            return Wait("would_pause", seconds)
        return Wait("would_wait" if seconds > 0 else "at_once", seconds)

    def pause(self, bucket: Bucket, until: float) -> None:
        """Feishu said that the bucket is full: nothing of it would be sent until then."""
        line = self._line(bucket)
        line.paused_until = max(line.paused_until, until)

    def _line(self, bucket: Bucket) -> _Line:
        line = self._lines.get(bucket.key)
        if line is None:
            line = self._lines[bucket.key] = _Line(bucket)
            if len(self._lines) > _MOST_BUCKETS:
                self._lines.popitem(last=False)
        self._lines.move_to_end(bucket.key)
        return line
