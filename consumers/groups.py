"""Those who wait in a line, in groups that need the same permits, and what is asked for them."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from schemas.names import Lane

from .turns import Turn

MOST_PERMITS = 64
"""Permits asked for at once, at most; never more than calls are in hand."""
MOST_GROUPS = 16
"""Groups asked for at once, at most: the script reads the state of every bucket of each."""


@dataclass(slots=True, eq=False)
class Group:
    """Calls that need permits of the same buckets."""

    buckets: tuple[Bucket, ...]
    waiting: Counter[Lane] = field(default_factory=Counter)
    promised: Counter[Lane] = field(default_factory=Counter)
    """Permits that are just asked for, or were granted and do not hold yet."""
    sequenced: list[tuple[int, int, Waiter]] = field(default_factory=list)

    def demand(self, lane: Lane) -> int:
        """Permits to ask for; a promise counts as many as it is for."""
        return self.waiting[lane] - self.promised[lane]

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and nothing is due."""
        return not (self.waiting.total() or self.promised.total())


@dataclass(slots=True, eq=False)
class Waiter:
    """A call in line. Times are time.monotonic(); `number` is the order of arrival."""

    job: Job
    lane: Lane
    producer: str | None
    moved: bool
    number: int
    arrived: float
    deadline: float
    turn: asyncio.Future[Turn]

    def fail(self, error: Exception) -> None:
        """End the wait, if it has not ended."""
        if not self.turn.done():
            self.turn.set_exception(error)


class Batch:
    """Asks in the making, for one of `live` processes that share the limits.

    Each asks for its part at a time: who comes first at a full bucket would else take all that it
    has, and the calls of the others would wait for nothing but that.
    """

    def __init__(self, bucket: Bucket, live: int) -> None:
        self._live = live
        self._most = min(MOST_PERMITS, self._part((bucket,)))
        self.asks: list[tuple[Group, Ask]] = []
        self._permits = 0
        self._of_group: Counter[Group] = Counter()
        self._groups: set[Group] = set()
        self._places: set[str] = set()

    def add(self, group: Group, lane: Lane) -> bool:
        """Ask for one permit more; False where the batch is full."""
        self._groups.add(group)
        if self._permits == self._most or len(self._groups) > MOST_GROUPS:
            return False
        places = {bucket.key for bucket in group.buckets if bucket.at_once}
        if places:
            # The next one would find the place taken by the first: one place at a time.
            if not places & self._places:
                self._places |= places
                self._append(group, Ask(group.buckets, 1, lane, uuid.uuid4().hex))
            return True
        if self._of_group[group] >= self._part(group.buckets):
            return True
        last_group, last = self.asks[-1] if self.asks else (None, None)
        if last is not None and last_group is group and last.lane == lane:
            self.asks[-1] = (group, last._replace(want=last.want + 1))
            self._count(group)
        else:
            self._append(group, Ask(group.buckets, 1, lane))
        return True

    def _append(self, group: Group, ask: Ask) -> None:
        self.asks.append((group, ask))
        self._count(group)

    def _count(self, group: Group) -> None:
        self._permits += 1
        self._of_group[group] += 1

    def _part(self, buckets: Iterable[Bucket]) -> int:
        limits = [window.limit for bucket in buckets for window in bucket.windows]
        return math.ceil(min(limits, default=MOST_PERMITS) / self._live)
