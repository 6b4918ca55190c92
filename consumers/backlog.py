"""What is known of the calls that wait in the broker for a saturated bucket. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.names import Lane

UNDER_WAY_SECONDS = 1.0
"""How long a call may be on its way into the queue, without being seen there."""


@dataclass(slots=True)
class _Queue:
    depth: int = 0
    moved: dict[str | None, float] = field(default_factory=dict)
    """When each producer's last call went in, Unix time."""


class Backlog:
    """The overflow queues as last seen; written by who moves and takes calls, read by the lines."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._queues: dict[tuple[str, Lane], _Queue] = {}

    def depth(self, bucket_key: str, lane: Lane) -> int:
        """Calls last seen waiting in the bucket's overflow queue."""
        queue = self._queues.get((bucket_key, lane))
        return queue.depth if queue else 0

    def holds(self, bucket_key: str, lane: Lane, producer: str | None) -> bool:
        """Whether the queue is known to hold calls of this producer."""
        queue = self._queues.get((bucket_key, lane))
        return queue is not None and producer in queue.moved

    def seen(self, bucket_key: str, lane: Lane, depth: int, asked_at: float = float("inf")) -> None:
        """The queue held so many calls when it was looked at, Unix time.

        Of an empty one only those calls count that went in too late to be seen.
        """
        queue = self._queues.setdefault((bucket_key, lane), _Queue())
        queue.depth = depth
        if depth > 0:
            return
        since = asked_at - UNDER_WAY_SECONDS
        queue.moved = {name: at for name, at in queue.moved.items() if at > since}
        queue.depth = len(queue.moved)
        if not queue.moved:
            del self._queues[bucket_key, lane]

    def moved(self, bucket_key: str, lane: Lane, producer: str | None) -> None:
        """A call of this producer goes into the queue now."""
        queue = self._queues.setdefault((bucket_key, lane), _Queue())
        queue.depth += 1
        queue.moved[producer] = self._clock()

    def taken(self, bucket_key: str, lane: Lane, moved_at: float) -> None:
        """A call that went in at this Unix time came out; what went in before it is out as well."""
        queue = self._queues.get((bucket_key, lane))
        if queue is not None:
            queue.depth = max(0, queue.depth - 1)
            queue.moved = {name: at for name, at in queue.moved.items() if at > moved_at}
