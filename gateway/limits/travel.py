"""How long requests are under way, which says how far their order may change on the way."""

from __future__ import annotations

from .buckets import NARROW

LEAST = 0.01
_ENOUGH = 20
_PERIOD = 30.0
_SAFETY = 1.25


class Travel:
    """The margin that one bucket's short windows need. Times are monotonic seconds.

    Feishu counts a request somewhere between its permit and its answer. Two requests therefore
    come closer together by no more than the slower one was under way, and a margin of that length
    lets none of them meet. The slowest of the last 30 to 60 seconds counts, with a quarter on top.
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
    def margin(self) -> float:
        """Seconds, at most the margin that is taken while too few requests were seen."""
        if self._count < _ENOUGH:
            return NARROW
        return min(NARROW, max(LEAST, _SAFETY * max(self._slowest, self._before)))
