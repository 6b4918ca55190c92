"""How long requests are under way, which says how far their order may change on the way."""

from __future__ import annotations

from gateway.extremes import Extremes

from .buckets import USUAL, Margins

LEAST, MOST = 0.01, 0.45
ENOUGH = 20
_SHORT_PART, _LONG_PART = 0.2, 0.3
_SILENCE = 40.0
"""Seconds after which what was seen tells nothing of now."""


class Travel:
    """The margins that windows need. Times are monotonic seconds.

    Feishu counts a request somewhere between its permit and its answer, so one that took longer
    than the quickest may count later by that much and no more. Of what somebody waits for, each
    request is told by itself: it counts from that later time on, if that is beyond the margin. The
    margin is for what is not told, or not yet, and for how much quicker than the quickest a request
    might be: a part of what their times differ by, of the last twenty to forty seconds for a short
    window and of one to two minutes for a long one.
    """

    __slots__ = ("_count", "_last", "_lately", "_long")

    def __init__(self) -> None:
        self._count = 0
        self._last = float("-inf")
        self._lately = Extremes(20.0)
        self._long = Extremes(60.0)

    def add(self, permit_at: float, answered_at: float) -> float:
        """Note one request that was answered; return how much longer it took than the quickest."""
        self._count += 1
        self._last = answered_at
        taken = answered_at - permit_at
        for extremes in (self._lately, self._long):
            extremes.add(taken, answered_at)
        return taken - self._lately.least

    def margins(self, now: float) -> Margins | None:
        """What the travel times seen ask for, within bounds; None where there were few of late."""
        if self._count < ENOUGH or now - self._last > _SILENCE:
            return None
        short = min(max(LEAST, _SHORT_PART * self._lately.spread), USUAL.short)
        return Margins(short, min(max(USUAL.short, _LONG_PART * self._long.spread), MOST))
