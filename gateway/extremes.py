"""The least and the most of late. Pure."""

from __future__ import annotations


class Extremes:
    """Of the last one to two periods; after a silence of two nothing of before counts. Seconds."""

    __slots__ = ("_before", "_began", "_now", "_period")

    def __init__(self, period: float) -> None:
        self._period = period
        self._began = float("-inf")
        self._before: tuple[float, float] | None = None
        self._now: tuple[float, float] | None = None

    def add(self, value: float, at: float) -> None:
        """Note a value at a time, which never goes back."""
        if at - self._began > self._period:
            self._before = self._now if at - self._began <= 2 * self._period else None
            self._began, self._now = at, None
        least, most = self._now or (value, value)
        self._now = min(least, value), max(most, value)

    @property
    def least(self) -> float:
        """The smallest value; infinity where there was none."""
        return min((least for least, _ in self._counted()), default=float("inf"))

    @property
    def spread(self) -> float:
        """What the largest is more than the smallest; 0 where there was none."""
        return max((most for _, most in self._counted()), default=0.0) - min(
            (least for least, _ in self._counted()), default=0.0
        )

    def _counted(self) -> list[tuple[float, float]]:
        return [pair for pair in (self._before, self._now) if pair is not None]
