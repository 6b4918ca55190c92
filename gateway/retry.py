"""When a failed attempt is repeated, and after how long. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter: a delay between nothing and `base * 2**(attempt-1)`, at most `cap` seconds."""

    max_attempts: int = 4
    base: float = 0.4
    cap: float = 5.0

    def ceiling(self, attempt: int) -> float:
        """The longest delay after the attempt with this number (the first is 1), in seconds."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 30))

    def delay(self, attempt: int) -> float:
        """A delay drawn for the pause after this attempt, in seconds."""
        return random.uniform(0, self.ceiling(attempt))  # noqa: S311  jitter is no secret

    def spread(self, seconds: float) -> float:
        """A little more than an advertised wait, so that those who wait do not return together."""
        return seconds + random.uniform(0, max(0.2, 0.1 * seconds))  # noqa: S311  jitter
