"""How long requests and answers are on their way."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Network:
    """One-way delays in milliseconds, evenly spread between two bounds.

    A `tail_share` of them lies between the upper bound and `tail_ms` instead. A `seed` makes the
    row of delays repeatable.
    """

    before_ms: tuple[float, float] = (0.0, 0.0)
    after_ms: tuple[float, float] = (0.0, 0.0)
    tail_share: float = 0.0
    tail_ms: float = 0.0
    seed: int | None = None
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Read `before_ms`, `after_ms`, `tail` and `seed`; ValueError or TypeError names one."""
        tail = fields.get("tail") or {}
        if not isinstance(tail, dict):
            raise TypeError("tail is an object with share and ms")
        share = float(tail.get("share", 0))
        if not 0 <= share <= 1:
            raise ValueError("tail.share is between 0 and 1")
        seed = fields.get("seed")
        if seed is not None and not isinstance(seed, int):
            raise TypeError("seed is an integer")
        return cls(
            _bounds(fields, "before_ms"),
            _bounds(fields, "after_ms"),
            share,
            float(tail.get("ms", 0)),
            seed,
        )

    def before(self) -> float:
        """Seconds until the next request arrives."""
        return self._delay(self.before_ms)

    def after(self) -> float:
        """Seconds until the next answer arrives."""
        return self._delay(self.after_ms)

    def shown(self) -> dict[str, Any]:
        """As `parse` takes it."""
        return {
            "before_ms": list(self.before_ms),
            "after_ms": list(self.after_ms),
            "tail": {"share": self.tail_share, "ms": self.tail_ms},
            "seed": self.seed,
        }

    def _delay(self, bounds: tuple[float, float]) -> float:
        low, high = bounds
        if not high:
            return 0.0
        if self.tail_share and self._random.random() < self.tail_share:
            low, high = high, max(high, self.tail_ms)
        return self._random.uniform(low, high) / 1000


def _bounds(fields: Mapping[str, Any], name: str) -> tuple[float, float]:
    bounds = fields.get(name, (0, 0))
    if isinstance(bounds, (int, float)):
        bounds = (bounds, bounds)
    if not isinstance(bounds, Sequence) or len(bounds) != 2:
        raise TypeError(f"{name} is two numbers, the least and the most")
    low, high = float(bounds[0]), float(bounds[1])
    if not 0 <= low <= high:
        raise ValueError(f"{name} is two numbers, the least and the most, not below 0")
    return low, high
