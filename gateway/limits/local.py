"""This process's own safe part of every limit, for when the store cannot be asked."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from schemas.apis import Window

from .buckets import Bucket, span
from .grant import Ask, Grant
from .ledger import Ledger

_SAFE = 0.8
_SHORTEST_WAIT = 0.005
_BISECTIONS = 20
_PLACE_WAIT = 0.1


@dataclass(frozen=True, slots=True)
class Place:
    """How many processes share the limits, and which of them this one is, counted from 0."""

    live: int
    rank: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one process may take of one window: so many permits in any `seconds`.

    Where that is less than one permit, the processes take turns: this one's turn begins `start`
    seconds into a cycle of `cycle` seconds and lasts `opening`, by a clock that all share.
    """

    permits: int
    seconds: float
    cycle: float = 0.0
    start: float = 0.0
    opening: float = 0.0

    def closed_for(self, shared_now: float) -> float:
        """Seconds until this process's turn; 0 while it lasts or when there are no turns."""
        if self.cycle == 0:
            return 0.0
        into = (shared_now - self.start) % self.cycle
        return 0.0 if into < self.opening else self.cycle - into


def share_of(window: Window, place: Place) -> Share:
    """The static share: 0.8 of the limit by the processes alive.

    A limit smaller than the fleet would be exceeded if every process sent its one permit at the
    same moment, however seldom. So one turn follows another, and a permit leaves only in the
    first fifth of a turn: two of neighbours are then never closer than the limit allows.
    """
    permits = int(_SAFE * window.limit / place.live)
    if permits >= 1:
        return Share(permits, span(window))
    turn = span(window) / (_SAFE * window.limit)
    opening = turn * (1 - _SAFE)
    cycle = turn * place.live
    return Share(1, cycle - opening, cycle, turn * place.rank, opening)


class LocalShare:
    """Static shares for all buckets.

    The ledger guards: what this process was granted by the store in the last window counts
    against its share, so the change from one to the other opens no second budget. aiolimiter
    paces: processes that lost the store at one moment do not all spend their share at the next.
    """

    def __init__(self) -> None:
        self._paces: dict[str, _Paces] = {}

    async def take(
        self, ask: Ask, ledgers: Sequence[Ledger], place: Place, times: tuple[float, float]
    ) -> Grant:
        """Grant from the shares; `times` are now by the ledgers' clock and by the shared one."""
        now, shared_now = times
        rooms, all_paces = [], []
        for index, ledger in enumerate(ledgers):
            paces = await self._paces_of(ask.buckets[index], place)
            all_paces += [pace for _, pace in paces.pairs]
            for share, pace in paces.pairs:
                rooms.append((*_allowed(share, pace, ledger, now, shared_now), index))
            if ledger.bucket.at_once and not _has_place(ledger, ask.holder, place):
                rooms.append((0, _PLACE_WAIT, index))
        granted = min([ask.want, *(allowed for allowed, _, _ in rooms)])
        for pace in all_paces:
            await pace.acquire(granted)
        if granted == ask.want:
            return Grant(granted, 0.0, 0.0, "")
        # Only what stands in the way is waited for: another window's wait might outlast a turn.
        wait, index = max((opens, i) for allowed, opens, i in rooms if allowed <= granted)
        return Grant(granted, 0.0, wait, "local", index)

    async def _paces_of(self, bucket: Bucket, place: Place) -> _Paces:
        paces = self._paces.get(bucket.key)
        if paces is None or (paces.windows, paces.place) != (bucket.windows, place):
            paces = self._paces[bucket.key] = await _Paces.create(bucket.windows, place)
        return paces

    def clear(self) -> None:
        """Forget all paces: the store answers again."""
        self._paces.clear()


@dataclass(frozen=True, slots=True)
class _Paces:
    windows: tuple[Window, ...]
    place: Place
    pairs: tuple[tuple[Share, AsyncLimiter], ...]

    @classmethod
    async def create(cls, windows: tuple[Window, ...], place: Place) -> _Paces:
        shares = [share_of(window, place) for window in windows]
        pairs = tuple([(share, await _pace(share)) for share in shares])
        return cls(windows, place, pairs)


async def _pace(share: Share) -> AsyncLimiter:
    size = max(1, share.permits // 10)
    pace = AsyncLimiter(size, share.seconds * size / share.permits)
    if share.cycle == 0:
        await pace.acquire(size)  # it starts full: no burst on top of what the store granted
    return pace


def _has_place(ledger: Ledger, holder: str, place: Place) -> bool:
    """Whether a call may be under way; places cannot be divided, so one process has them all."""
    if zlib.crc32(ledger.bucket.key.encode()) % place.live != place.rank:
        return False
    return holder in ledger.holders or len(ledger.holders) < ledger.bucket.at_once


def _allowed(
    share: Share, pace: AsyncLimiter, ledger: Ledger, now: float, shared_now: float
) -> tuple[int, float]:
    """Permits that one window lets through, and the seconds until it lets one more."""
    if closed := share.closed_for(shared_now):
        return 0, closed
    room = max(0, share.permits - ledger.used(now, share.seconds))
    free = _free(pace)
    if room <= free:
        keep = max(1, share.permits - room)
        return room, max(ledger.opens(now, share.seconds, keep), _SHORTEST_WAIT)
    missing = int(free) + 1 - free
    return int(free), max(missing * pace.time_period / pace.max_rate, _SHORTEST_WAIT)


def _free(pace: AsyncLimiter) -> float:
    """What a pace lets through at once, from below."""
    low, high = 0.0, pace.max_rate
    if pace.has_capacity(high):
        return high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if pace.has_capacity(middle):
            low = middle
        else:
            high = middle
    return low
