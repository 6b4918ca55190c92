"""How long requests are under way, which says how far their order may change on the way."""

from __future__ import annotations

from gateway.extremes import Extremes

from .buckets import USUAL, Margins

LEAST, MOST = 0.02, 0.5
MOST_SHORT = 0.25
ENOUGH = 20
_MORE = 1.5
_SILENCE = 40.0
"""Seconds after which what was seen tells nothing of now."""


class Travel:
    """The margins that windows need. Times are monotonic seconds.

    Feishu counts a request somewhere between its permit and its answer. How long it takes to get
    there varies no more than how long the whole way takes, since the way back and Feishu's work
    vary by themselves: a margin of that difference lets no two requests meet. A long window looks
    back one to two minutes and loses no more than MOST. A short one, for which every millisecond
    counts, looks back twenty to forty seconds, which sees less: it takes half as much again, and no
    more than MOST_SHORT.
    """

    __slots__ = ("_count", "_last", "_lately", "_long")

    def __init__(self) -> None:
        self._count = 0
        self._last = float("-inf")
        self._lately = Extremes(20.0)
        self._long = Extremes(60.0)

    def add(self, permit_at: float, answered_at: float) -> None:
        """Note one request that was answered."""
        self._count += 1
        self._last = answered_at
        for extremes in (self._lately, self._long):
            extremes.add(answered_at - permit_at, answered_at)

    def margins(self, now: float) -> Margins | None:
        """What the travel times seen ask for, within bounds; None where there were few of late."""
        if self._count < ENOUGH or now - self._last > _SILENCE:
            return None
        short = min(max(LEAST, _MORE * self._lately.spread), MOST_SHORT)
        return Margins(short, min(max(USUAL.long, self._long.spread), MOST))
