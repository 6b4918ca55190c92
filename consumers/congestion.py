"""How much later things are done than they could be. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.extremes import Extremes

PERIOD = 30.0


class Pace:
    """The fastest of the last one to two periods is what is possible; more is lateness. Seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken = Extremes(PERIOD)

    def lateness(self, taken: float) -> float:
        """What this took longer than the fastest of late."""
        self._taken.add(taken, self._clock())
        return taken - self._taken.least
