"""What is known of one bucket in the model of the limiter: plain lists, counted anew each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

RECOVERY, HALF_LIFE = 0.02, 600_000_000
NEARLY_ALL, LONGER, LONGEST = 0.95, 25_000, 250_000
LESS, LEAST = 0.8, 0.3
EXACT = 1e-9  # 0.95 * 20 is 19


class Window(NamedTuple):
    """At most `limit` in any `length`; a permit is held for `span`, which has the margin in it."""

    limit: int
    span: int
    length: int


class Shape(NamedTuple):
    """How a bucket is asked for; it may be another with every question."""

    windows: tuple[Window, ...]
    at_once: int = 0
    grain: int = 0


@dataclass
class Grants:
    """Everything that is known of one bucket."""

    log: list[tuple[int, int]] = field(default_factory=list)
    until: int = 0
    canary: int = 0
    factor: float = 1.0
    extra: int = 0
    learnt: int = 0
    seen: int = 0
    places: dict[str, int] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        return max((stamp for stamp, _ in self.log), default=0)

    def used(self, span: int, at: int) -> int:
        """Permits that a window of `span` that ends at `at` has in it, and all after."""
        return sum(permits for stamp, permits in self.log if stamp > at - span)

    def shaped(self, shape: Shape, now: int) -> tuple[tuple[Window, ...], float, int]:
        """The windows with what was learnt, and what was learnt: the factor and the margin."""
        since = max(0, now - self.learnt)
        longest = max((window.length for window in shape.windows), default=0)
        clean = since // longest if longest else 0
        factor = min(1.0, self.factor + RECOVERY * clean)
        extra = math.floor(self.extra * 0.5 ** (since / HALF_LIFE))
        windows = tuple(
            Window(max(1, math.floor(limit * factor + EXACT)), span + extra, length)
            for limit, span, length in shape.windows
        )
        return windows, factor, extra

    def forget(self, windows: Sequence[Window], now: int) -> None:
        """Two entries at a time leave that no window counts: a longer window later misses them."""
        horizon = max(now, self.newest) - max((window.span for window in windows), default=0)
        for _ in range(2):
            if self.log and self.log[0][0] <= horizon:
                del self.log[0]

    def learn(self, shape: Shape, sent: int, now: int) -> None:
        """Feishu refused what was sent then: our margin is too short, or our part too big."""
        windows, factor, extra = self.shaped(shape, now)
        used = [self.used(window.span, sent) / window.limit for window in windows]
        if max(used, default=0) >= NEARLY_ALL:
            extra = min(LONGEST, extra + LONGER)
        else:
            factor = max(LEAST, factor * LESS)
        self.factor, self.extra, self.learnt = float(f"{factor:.14g}"), extra, now
