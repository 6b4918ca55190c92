"""How long each API takes of late."""

from __future__ import annotations

from collections import deque
from statistics import median

RECENT = 31
LEAST = 0.2
"""Seconds that an answer takes over the internet, whatever the API."""


class Latencies:
    """The last answers of every API; there is a bounded number of those."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}

    def add(self, api: str, seconds: float) -> None:
        """Feishu has answered after so many seconds."""
        known = self._seconds.get(api)
        if known is None:
            known = self._seconds[api] = deque(maxlen=RECENT)
        known.append(seconds)

    def usual(self, api: str) -> float:
        """Half of its answers take less, in seconds; never less than 0.2."""
        known = self._seconds.get(api)
        return max(LEAST, median(known)) if known else LEAST
