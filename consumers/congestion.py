"""How much later things are done than they could be. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable

PERIOD = 30.0


class Pace:
    """The fastest of the last one to two periods is what is possible; more is lateness. Seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._before = self._fastest = float("inf")

    def lateness(self, taken: float) -> float:
        """What this took longer than the fastest of late."""
        now = self._clock()
        if now - self._began > PERIOD:
            self._began, self._before, self._fastest = now, self._fastest, float("inf")
        self._fastest = min(self._fastest, taken)
        return taken - min(self._fastest, self._before)
