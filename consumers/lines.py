"""The line before one API's bucket: lanes, producers, and groups that differ in other buckets."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import Counter
from collections.abc import Container, Iterator

from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from schemas.names import LANES, Lane

from .fairness import FairQueue
from .groups import Batch, Group, Waiter
from .saturation import Saturation

Held = Counter[tuple[str, Lane]]
"""Calls in hand by bucket and lane, without those that were moved."""


class Line:
    """Everyone who waits for one API's bucket in this process, and its one pump."""

    def __init__(self, bucket: Bucket, held: Held) -> None:
        self.bucket = bucket
        self.pump: asyncio.Task[None] | None = None
        self.news = asyncio.Event()
        self._held = held
        self._lanes: dict[Lane, FairQueue[Waiter]] = {lane: FairQueue() for lane in LANES}
        self._groups: dict[tuple[str, ...], Group] = {}
        self._group_of: dict[Waiter, Group] = {}

    def __len__(self) -> int:
        return len(self._group_of)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and nothing is due."""
        return not self._groups

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups in which somebody waits or a permit is due."""
        return tuple(self._groups.values())

    def group_of(self, waiter: Waiter) -> Group:
        """The group of one who waits."""
        return self._group_of[waiter]

    def waiters(self) -> Iterator[Waiter]:
        """Everyone in line, in the order in which they would be served."""
        for lane in LANES:
            yield from self._lanes[lane]

    def add(self, waiter: Waiter) -> None:
        """Let a call wait."""
        buckets = waiter.job.buckets
        key = tuple(bucket.key for bucket in buckets)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(buckets)
        # Limits may have changed since; the newest call knows.
        group.buckets = buckets
        group.waiting[waiter.lane] += 1
        if waiter.job.sequence is not None:
            insort(group.sequenced, (waiter.job.sequence, waiter.number, waiter))
        self._group_of[waiter] = group
        self._lanes[waiter.lane].add(waiter, waiter.producer, waiter.deadline)
        self._count(waiter, 1)

    def remove(self, waiter: Waiter) -> None:
        """Take one out of the line, if it is still there."""
        group = self._group_of.pop(waiter, None)
        if group is None:
            return
        self._lanes[waiter.lane].remove(waiter)
        group.waiting[waiter.lane] -= 1
        if waiter.job.sequence is not None:
            group.sequenced.remove((waiter.job.sequence, waiter.number, waiter))
        self._count(waiter, -1)
        self._forget(group)

    def take(self, group: Group) -> Waiter | None:
        """The next of a group that a permit may go to, interactive calls first, taken out.

        Of calls with a sequence the lowest goes, whoever of them has the turn.
        """
        for lane in LANES:
            if not group.waiting[lane]:
                continue
            queue = self._lanes[lane]
            slot = queue.first(lambda waiter: self._group_of[waiter] is group)
            if slot is None:
                continue
            queue.serve(slot)
            taken = slot if slot.job.sequence is None else group.sequenced[0][2]
            self.remove(taken)
            return taken
        return None

    def expired(self, now: float) -> list[Waiter]:
        """Take out those whose deadline has come."""
        late = [waiter for queue in self._lanes.values() for waiter in queue.before(now)]
        for waiter in late:
            self.remove(waiter)
        return late

    def clear(self) -> list[Waiter]:
        """Take everybody out."""
        everybody = list(self._group_of)
        for waiter in everybody:
            self.remove(waiter)
        return everybody

    def promise(self, group: Group, lane: Lane, permits: int) -> None:
        """Permits of this group are asked for or will hold later: the group stays until then."""
        group.promised[lane] += permits

    def redeem(self, group: Group, lane: Lane, permits: int) -> None:
        """Those permits hold now, or there are none."""
        group.promised[lane] -= permits
        self._forget(group)

    def asks(self, saturation: Saturation, now: float, live: int) -> list[tuple[Group, Ask]]:
        """What one of `live` processes asks the limiter for now, in the order to be served in."""
        batch = Batch(self.bucket, live)
        for lane in LANES:
            # Those for whom a permit will hold are passed over: the first of their group.
            promised = {
                group: group.promised[lane]
                for group in self._groups.values()
                if group.demand(lane) > 0 and saturation.ready_at(group.buckets, lane) <= now
            }
            for waiter in self._of(lane, promised):
                group = self._group_of[waiter]
                if promised[group]:
                    promised[group] -= 1
                elif not batch.add(group, lane):
                    return batch.asks
        return batch.asks

    def next_look(self, saturation: Saturation) -> float | None:
        """When the line must be looked at again: a bucket may have a permit, or a call expires."""
        times = [
            saturation.ready_at(group.buckets, lane)
            for group in self._groups.values()
            for lane in LANES
            if group.demand(lane) > 0
        ]
        deadlines = (queue.earliest() for queue in self._lanes.values())
        times += [deadline for deadline in deadlines if deadline is not None]
        return min(times, default=None)

    def _of(self, lane: Lane, groups: Container[Group]) -> Iterator[Waiter]:
        return self._lanes[lane].walk(lambda waiter: self._group_of[waiter] in groups)

    def _count(self, waiter: Waiter, change: int) -> None:
        if not waiter.moved:
            for bucket in waiter.job.buckets:
                self._held[bucket.key, waiter.lane] += change

    def _forget(self, group: Group) -> None:
        if group.is_idle:
            self._groups.pop(tuple(bucket.key for bucket in group.buckets), None)
