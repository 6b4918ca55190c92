"""Who must not wait in line: too late for a slot, too long in hand, or in excess of the cap."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable

from gateway.limits.buckets import Bucket
from schemas.names import LANES, Lane

from .backlog import Backlog
from .groups import Group, Waiter
from .lines import Held, Line
from .saturation import Saturation
from .turns import Overflow, Park, circuit_open, no_slot

LONGEST_HOLD = 60.0
"""Seconds that a call may wait in hand; whoever would wait longer waits in the broker."""
LONGEST_MOVED_HOLD = 900.0
"""The same for a call that came back from there; RabbitMQ closes a channel after 30 minutes."""

FEW = 4
"""A producer may have this part of the cap in hand above it, so that it may grow to twice its size:
who leaves goes behind all that waits in the broker, and who calls little is not who filled it."""

Verdict = tuple[Waiter, Exception]


class Verdicts:
    """Takes out of a line who must leave it, and says why.

    All expectations are lower bounds: nobody is refused who could make it.
    """

    def __init__(self, saturation: Saturation, backlog: Backlog, held: Held, *, cap: int) -> None:
        self._saturation = saturation
        self._backlog = backlog
        self._held = held
        self._cap = cap

    def on_arrival(self, line: Line, waiter: Waiter, now: float) -> list[Verdict]:
        """Judge a call that has just come, and whom it makes the cap's excess."""
        lane, buckets = waiter.lane, waiter.job.buckets
        behind = [] if waiter.moved else self._behind(waiter)
        saturated = [
            bucket for bucket in buckets if self._saturation.is_saturated(bucket, lane, now)
        ]
        if not behind and not saturated:
            return []
        if behind:
            # All that waits in the broker is ahead of it, which says more than the line does. Where
            # that would be too late it stays: of one producer the earliest deadline comes first.
            elsewhere = self._leave(waiter, (0, 0), behind, now)
            if isinstance(elsewhere, Overflow):
                line.remove(waiter)
                return [(waiter, elsewhere)]
        error = self._too_long(waiter, self._places(line, now)[waiter], now)
        if error is None:
            return self._excess(line, saturated, lane, now)
        line.remove(waiter)
        return [(waiter, error)]

    def on_news(self, line: Line, now: float) -> list[Verdict]:
        """Judge everyone in line, once more is known of when its buckets have permits."""
        gone: list[Verdict] = []
        ahead = _Ahead(self._saturation, now)
        for waiter in list(line.waiters()):
            group = line.group_of(waiter)
            if ahead.has_promise(group, waiter):
                continue
            error = self._too_long(waiter, ahead.of(group), now)
            if error is None:
                ahead.add(group, waiter)
            else:
                line.remove(waiter)
                gone.append((waiter, error))
        buckets = {bucket.key: bucket for group in line.groups for bucket in group.buckets}
        for lane in LANES:
            gone += self._excess(line, buckets.values(), lane, now)
        return gone

    def _behind(self, waiter: Waiter) -> list[Bucket]:
        # Whose earlier calls wait in the broker goes there as well, or it would overtake them.
        return [
            bucket
            for bucket in waiter.job.buckets
            if self._backlog.holds(bucket.key, waiter.lane, waiter.producer)
        ]

    def _places(self, line: Line, now: float) -> dict[Waiter, tuple[int, int]]:
        places: dict[Waiter, tuple[int, int]] = {}
        ahead = _Ahead(self._saturation, now)
        for waiter in line.waiters():
            group = line.group_of(waiter)
            places[waiter] = ahead.of(group)
            if not ahead.has_promise(group, waiter):
                ahead.add(group, waiter)
        return places

    def _too_long(self, waiter: Waiter, place: tuple[int, int], now: float) -> Exception | None:
        expected = self._expected(waiter, place, now)
        if now + expected >= waiter.deadline:
            return self._too_late(waiter, expected, now)
        if waiter.moved:
            return Park(time.time() + expected) if expected > LONGEST_MOVED_HOLD else None
        if expected <= LONGEST_HOLD:
            return None
        return self._leave(waiter, place, waiter.job.buckets, now)

    def _excess(
        self, line: Line, buckets: Iterable[Bucket], lane: Lane, now: float
    ) -> list[Verdict]:
        """Those above the cap of each saturated bucket: the newest of whoever has most in hand."""
        gone: list[Verdict] = []
        places: dict[Waiter, tuple[int, int]] = {}
        for bucket in buckets:
            most = self._held[bucket.key, lane] - self._cap
            if most <= 0 or not self._saturation.is_saturated(bucket, lane, now):
                continue
            places = places or self._places(line, now)
            for waiter in _newest(line, bucket, lane, most, self._cap):
                full = [
                    each
                    for each in waiter.job.buckets
                    if self._saturation.is_saturated(each, lane, now)
                ]
                error = self._leave(waiter, places[waiter], full, now)
                if self._spares(bucket, lane) and not isinstance(error, Overflow):
                    continue  # in line it may still make it
                gone.append((waiter, error))
                line.remove(waiter)
        return gone

    def _spares(self, bucket: Bucket, lane: Lane) -> bool:
        return self._cap >= FEW and self._held[bucket.key, lane] <= 2 * self._cap

    def _leave(
        self, waiter: Waiter, place: tuple[int, int], buckets: Iterable[Bucket], now: float
    ) -> Exception:
        """Send a call to the queue of the bucket with the longest wait, unless it is too late."""
        waits = {bucket: self._wait(waiter, bucket, place, now, moved=True) for bucket in buckets}
        bucket = max(waits, key=waits.__getitem__)
        expected = max(waits[bucket], self._expected(waiter, place, now))
        if now + expected >= waiter.deadline:
            return self._too_late(waiter, expected, now)
        return Overflow(bucket, time.time() + expected)

    def _too_late(self, waiter: Waiter, expected: float, now: float) -> Exception:
        # A breaker is always that of the API, whose bucket comes first.
        is_open = self._saturation.is_open(waiter.job.buckets[0], now)
        return circuit_open(expected) if is_open else no_slot(expected)

    def _expected(self, waiter: Waiter, place: tuple[int, int], now: float) -> float:
        return max(self._wait(waiter, bucket, place, now) for bucket in waiter.job.buckets)

    def _wait(
        self,
        waiter: Waiter,
        bucket: Bucket,
        place: tuple[int, int],
        now: float,
        *,
        moved: bool = False,
    ) -> float:
        ahead = place[bucket is not waiter.job.buckets[0]]
        if moved:
            ahead += self._backlog.depth(bucket.key, waiter.lane)
        return self._saturation.soonest(bucket, waiter.lane, ahead, now)


class _Ahead:
    """Counts who comes before: in the line and in the group."""

    def __init__(self, saturation: Saturation, now: float) -> None:
        self._saturation = saturation
        self._now = now
        self._line = 0
        self._groups: Counter[Group] = Counter()
        self._promises: Counter[tuple[Group, Lane]] = Counter()
        self._aside: dict[tuple[Group, Lane], bool] = {}

    def of(self, group: Group) -> tuple[int, int]:
        return self._line, self._groups[group]

    def has_promise(self, group: Group, waiter: Waiter) -> bool:
        """Whether it is one of the first, for whom a permit will hold; it takes no more from
        anybody. Ask once for each."""
        self._promises[group, waiter.lane] += 1
        return self._promises[group, waiter.lane] <= group.promised[waiter.lane]

    def add(self, group: Group, waiter: Waiter) -> None:
        self._groups[group] += 1
        key = (group, waiter.lane)
        if key not in self._aside:
            own, *others = group.buckets
            line_at = max(self._now, self._saturation.until(own, waiter.lane))
            self._aside[key] = self._saturation.ready_at(others, waiter.lane) > line_at
        # Who is held up by another bucket may be overtaken, and is not surely ahead.
        self._line += not self._aside[key]


def _newest(line: Line, bucket: Bucket, lane: Lane, most: int, cap: int) -> list[Waiter]:
    """Up to so many calls of this bucket and lane, each the newest of who has most in hand.

    Each producer keeps its part of the cap while no more than a second cap is left above.
    Of calls with a sequence the highest of the group goes in place of the newest.
    """
    concerned = [
        waiter for waiter in line.waiters() if waiter.lane == lane and bucket in waiter.job.buckets
    ]
    in_hand = Counter(waiter.producer for waiter in concerned)
    fresh: defaultdict[str | None, list[Waiter]] = defaultdict(list)
    for waiter in sorted(concerned, key=lambda waiter: waiter.number):
        if not waiter.moved:
            fresh[waiter.producer].append(waiter)
    chosen: list[Waiter] = []
    while fresh and len(chosen) < most:
        producer = max(fresh, key=lambda name: (in_hand[name], fresh[name][-1].number))
        if in_hand[producer] <= cap // FEW and most - len(chosen) <= cap:
            break
        calls = fresh[producer]
        newest = calls.pop(_last_of_card(calls, line))
        chosen.append(newest)
        in_hand[producer] -= 1
        if not calls:
            del fresh[producer]
    return chosen


def _last_of_card(calls: list[Waiter], line: Line) -> int:
    """The place of the newest, or of the last update of its card."""
    newest = calls[-1]
    if newest.job.sequence is None:
        return -1
    group = line.group_of(newest)
    return max(
        (place for place, waiter in enumerate(calls) if line.group_of(waiter) is group),
        key=lambda place: (calls[place].job.sequence or 0, place),
    )
