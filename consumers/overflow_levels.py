"""How full the overflow queues are and how old what comes out, for the lines and for metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gateway.metrics import Metrics
from gateway.overflow_queues import OverflowQueue
from schemas.names import Lane

from .backlog import Backlog
from .codec import History


@dataclass(slots=True)
class _Level:
    queue: OverflowQueue
    depth: int = 0
    oldest: float = 0.0
    """Unix time at which the call that was taken last came to the gateway; 0 where none was."""


class OverflowLevels:
    """Tells the backlog and the metrics; buckets of one name count together."""

    def __init__(self, backlog: Backlog, metrics: Metrics) -> None:
        self._backlog = backlog
        self._metrics = metrics
        self._levels: dict[str, _Level] = {}

    def depth(self, name: str) -> int:
        """Calls last seen waiting in this queue; 0 before the first look."""
        level = self._levels.get(name)
        return level.depth if level else 0

    def seen(self, queue: OverflowQueue, depth: int, asked_at: float) -> None:
        """So many calls waited in the queue when it was looked at, Unix time."""
        self._level(queue).depth = depth
        self._backlog.seen(queue.bucket, queue.lane, self._waiting(queue), asked_at)
        self._tell(queue.label, queue.lane)

    def taken(self, queue: OverflowQueue, history: History) -> None:
        """A call came out of the queue."""
        self._level(queue).oldest = history.first_seen
        self._backlog.taken(queue.bucket, queue.lane, history.moved_at)

    def oldest(self) -> dict[tuple[str, Lane], float]:
        """Unix time at which what was taken last came to the gateway, where more waits behind it.

        By the bucket's key and the lane: queues give their oldest first, so nothing is older.
        """
        return {
            (level.queue.bucket, level.queue.lane): level.oldest
            for level in self._levels.values()
            if level.depth and level.oldest
        }

    def gone(self, queue: OverflowQueue) -> None:
        """The queue was removed."""
        self._levels.pop(queue.name, None)
        self._backlog.seen(queue.bucket, queue.lane, self._waiting(queue))
        self._tell(queue.label, queue.lane)

    def _waiting(self, queue: OverflowQueue) -> int:
        """Calls for the queue's bucket: an app's own and those of its pools wait side by side."""
        return sum(
            level.depth
            for level in self._levels.values()
            if (level.queue.bucket, level.queue.lane) == (queue.bucket, queue.lane)
        )

    def _level(self, queue: OverflowQueue) -> _Level:
        return self._levels.setdefault(queue.name, _Level(queue))

    def _tell(self, label: str, lane: Lane) -> None:
        alike = [
            level
            for level in self._levels.values()
            if (level.queue.label, level.queue.lane) == (label, lane) and level.depth
        ]
        first = min((level.oldest for level in alike if level.oldest), default=0.0)
        age = max(0.0, time.time() - first) if first else 0.0
        self._metrics.overflow_depth.labels(label, lane).set(sum(level.depth for level in alike))
        self._metrics.overflow_oldest.labels(label, lane).set(age)
