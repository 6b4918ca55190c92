"""How long requests are under way, which says how far their order may change on the way."""

from __future__ import annotations

from .buckets import USUAL, Margins

LEAST, MOST = 0.01, 0.6
_ENOUGH = 20
_PERIOD = 60.0


class Travel:
    """The margins that one bucket's windows need. Times are monotonic seconds.

    Feishu counts a request somewhere between its permit and its answer. Two requests therefore
    come closer together by no more than the slower one was under way, and a margin of that length
    lets none of them meet. The slowest of the last one to two minutes counts. Where answers take
    long because Feishu works long, it asks for more than is needed: a long window so loses no more
    than MOST, a short one no more than what is usual.
    """

    __slots__ = ("_before", "_began", "_count", "_slowest")

    def __init__(self) -> None:
        self._count = 0
        self._began = 0.0
        self._before = 0.0
        self._slowest = 0.0

    def add(self, permit_at: float, answered_at: float) -> None:
        """Note one request that was answered."""
        if answered_at - self._began > _PERIOD:
            self._before, self._slowest = self._slowest, 0.0
            self._began = answered_at
        self._count += 1
        self._slowest = max(self._slowest, answered_at - permit_at)

    @property
    def margins(self) -> Margins:
        """What the slowest request asks for, within bounds; the usual while there were few."""
        if self._count < _ENOUGH:
            return USUAL
        slowest = max(self._slowest, self._before)
        return Margins(min(max(slowest, LEAST), USUAL.short), min(max(slowest, USUAL.long), MOST))
