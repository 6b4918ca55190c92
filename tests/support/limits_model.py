"""What the limiter's scripts must answer, found by counting everything again for every question.

Times are microseconds of the store's clock, which the caller sets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.support.limits_grants import EXACT, Grants, Shape, Window

BACK = 2_000_000
SHORT = 5_000_000
SEEN = 60_000_000
PIECES = 30
CANARY = 5_000_000
CANARY_POLL, PLACE_POLL = 50_000, 25_000
FULL, PAUSED, BUSY = 1, 2, 4


class Ask(NamedTuple):
    """Permits of all the buckets named, or of none."""

    buckets: tuple[str, ...]
    want: int
    bulk: bool = False
    holder: str = ""


class Answer(NamedTuple):
    """As acquire.lua replies for one ask."""

    granted: int
    delay: int
    wait: int
    reason: int
    place: int
    canaries: int


class Model:
    """All buckets of one store, and the time since which it remembers."""

    def __init__(self, epoch: int, *, ahead: int, lease: int) -> None:
        self.epoch: int | None = epoch
        self.ahead = ahead
        self.books = True
        self.lease = lease
        self.buckets: dict[str, Grants] = {}

    def of(self, name: str) -> Grants:
        """The bucket; one that nobody used is empty."""
        return self.buckets.setdefault(name, Grants())

    def begins_epoch(self, now: int, names: Sequence[str]) -> bool:
        """Whether a script that reads these buckets now finds the store not to be believed."""
        if self.epoch is None or self.epoch > now + BACK:
            return True
        return any(self.of(name).newest > now + BACK for name in names)

    def begin_epoch(self, now: int) -> None:
        """Nothing of before counts."""
        self.epoch = now
        self.buckets.clear()

    def acquire(
        self, now: int, shapes: Mapping[str, Shape], asks: Sequence[Ask]
    ) -> list[Answer] | None:
        """An answer to each ask; none when a new epoch begins."""
        if self.begins_epoch(now, list(shapes)):
            self.begin_epoch(now)
            return None
        call = _Call(self, now, shapes)
        answers = [call.answer(ask) for ask in asks]
        call.end()
        return answers

    def report(
        self,
        now: int,
        name: str,
        shape: Shape,
        *,
        pause: int = 0,
        sent: int | None = None,
        grants: Sequence[tuple[int, int]] = (),
    ) -> bool:
        """Merge grants, pause the bucket or, with a pause below 0, open it; false as above."""
        it = self.of(name)
        if it.newest > now + BACK:
            self.begin_epoch(now)
            return False
        if shape.windows:
            it.log = sorted([*it.log, *grants], key=lambda grant: grant[0])
        if pause < 0:
            it.until = it.canary = 0
        if pause > 0:
            if sent is not None and sent > max(it.learnt, it.until):
                it.learn(shape, sent, now)
            if now + pause > it.until:
                it.until, it.canary = now + pause, 0
        return True

    def keep_places(self, now: int, name: str, holders: Sequence[str]) -> None:
        """Calls of these holders are under way still."""
        for holder in holders:
            self.of(name).places[holder] = now + self.lease

    def free_places(self, name: str, holders: Sequence[str]) -> None:
        """Calls of these holders have ended."""
        for holder in holders:
            self.of(name).places.pop(holder, None)


class _Call:
    """One run of the script: what it grants counts for its later asks at once."""

    def __init__(self, model: Model, now: int, shapes: Mapping[str, Shape]) -> None:
        self.model, self.now, self.shapes = model, now, shapes
        self.windows = {
            name: model.of(name).shaped(shape, now)[0] for name, shape in shapes.items()
        }
        # Who held a place before the call: holders of before may ask again, whatever is taken.
        self.held = {
            name: [holder for holder, until in model.of(name).places.items() if until > now]
            for name in shapes
        }
        self.taken: dict[str, list[str]] = {name: [] for name in shapes}
        self.held_from = dict.fromkeys(shapes, now)
        self.touched: set[str] = set()
        self.stamps = {name: model.of(name).newest for name in shapes}

    def answer(self, ask: Ask) -> Answer:
        at = self.now
        for place, name in enumerate(ask.buckets, 1):
            if not ask.bulk:
                self.touched.add(name)
            if barred := self._barred(name, ask.holder):
                reason, wait = barred
                return Answer(0, 0, wait, reason, place, 0)
            at = max(at, self.stamps[name])
        room = self._room(ask, at)
        if not self.model.books and self.now < at <= self.now + self.model.ahead:
            opens = at if room else self._opens(ask, at)
            latest = [place for place, n in enumerate(ask.buckets, 1) if self.stamps[n] == at]
            place = latest[0] if room else self._last_to_open(ask, at, opens)
            return Answer(0, 0, opens - self.now, FULL, place, 0)
        if (
            room == 0
            and self.model.books
            and (opens := self._opens(ask, at)) <= self.now + self.model.ahead
        ):
            at = opens
            room = self._room(ask, at)
        tested = [name for name in ask.buckets if self.model.of(name).until > 0]
        if tested or any(self.shapes[name].at_once for name in ask.buckets):
            room = min(room, 1)
        canaries = self._take(ask, room, at) if room else 0
        delay = at - self.now if at - self.now <= self.model.ahead else 0
        if room == ask.want:
            return Answer(room, delay, 0, 0, 0, canaries)
        if canaries:
            place = ask.buckets.index(tested[0]) + 1
            return Answer(room, delay, CANARY_POLL, PAUSED, place, canaries)
        opens = self._opens(ask, at)
        wait = max(1, opens - self.now)
        return Answer(room, delay, wait, FULL, self._last_to_open(ask, at, opens), canaries)

    def end(self) -> None:
        """What is noted at the end of the call."""
        for name in self.shapes:
            it = self.model.of(name)
            if name in self.touched and it.seen < self.now - 1_000_000:
                it.seen = self.now
            if self.taken[name] and self.shapes[name].at_once:
                it.places = {h: until for h, until in it.places.items() if until > self.now}
                it.places |= dict.fromkeys(
                    self.taken[name], self.held_from[name] + self.model.lease
                )

    def _barred(self, name: str, holder: str) -> tuple[int, int] | None:
        it, at_once = self.model.of(name), self.shapes[name].at_once
        if it.until > self.now:
            return PAUSED, it.until - self.now
        if it.until > 0 and it.canary > self.now - CANARY:
            return PAUSED, min(CANARY_POLL, it.canary + CANARY - self.now)
        full = at_once and len(self.held[name]) + len(self.taken[name]) >= at_once
        if full and holder not in self.held[name]:
            return BUSY, PLACE_POLL
        return None

    def _lets(self, name: str, window: Window, ask: Ask, count: int, at: int) -> bool:
        """Whether one window has room for so many at this time."""
        it, limit = self.model.of(name), window.limit
        is_short = window.length <= SHORT
        if ask.bulk and it.seen > self.now - SEEN:
            limit = max(1, math.floor(limit * (0.8 if is_short else 0.95) + EXACT))
        used = it.used(window.span, at) + count
        if not ask.bulk or is_short:
            return used <= limit
        in_piece = it.used(window.length // PIECES, at) + count
        return used <= limit and (used <= limit // 2 or in_piece <= math.ceil(limit / PIECES))

    def _fits(self, ask: Ask, count: int, at: int) -> bool:
        return all(
            self._lets(name, window, ask, count, at)
            for name in ask.buckets
            for window in self.windows[name]
        )

    def _room(self, ask: Ask, at: int) -> int:
        return max(
            count for count in range(ask.want + 1) if count == 0 or self._fits(ask, count, at)
        )

    def _changes(self, name: str) -> set[int]:
        """When anything leaves anything."""
        windows = self.windows[name]
        spans = {window.span for window in windows}
        spans |= {window.length // PIECES for window in windows}
        return {stamp + span for stamp, _ in self.model.of(name).log for span in spans}

    def _opens(self, ask: Ask, at: int) -> int:
        """The first time from `at` on when one permit could be had if nobody else asked."""
        times = {at}.union(*(self._changes(name) for name in ask.buckets))
        return min(time for time in times if time >= at and self._fits(ask, 1, time))

    def _last_to_open(self, ask: Ask, at: int, opens: int) -> int:
        """The bucket in the way longest; the first of several."""
        for place, name in enumerate(ask.buckets, 1):
            alone = ask._replace(buckets=(name,))
            if not self._fits(alone, 1, at) and self._opens(alone, at) == opens:
                return place
        return 0

    def _take(self, ask: Ask, count: int, at: int) -> int:
        canaries = 0
        for place, name in enumerate(ask.buckets, 1):
            it, shape = self.model.of(name), self.shapes[name]
            stamp = max(it.newest, at // shape.grain * shape.grain) if shape.grain else at
            if shape.windows:
                if not self.taken[name]:
                    it.forget(self.windows[name], self.now)
                if it.log and it.log[-1][0] == stamp:
                    it.log[-1] = (stamp, it.log[-1][1] + count)
                else:
                    it.log.append((stamp, count))
            self.taken[name].append(ask.holder)
            self.held_from[name] = at
            self.stamps[name] = max(self.stamps[name], stamp)
            if it.until > 0:
                it.canary = self.now
                canaries |= 1 << (place - 1)
        return canaries
