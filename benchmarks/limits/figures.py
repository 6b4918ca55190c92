"""What a run's requests come to. Pure; times are Unix seconds, as the simulated Feishu saw them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True)
class Sends:
    """The requests to one API, in order of arrival: which Feishu took and which it rejected."""

    accepted: Sequence[float]
    rejected: Sequence[float]

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> Sends:
        """Sort entries of the simulated Feishu's ledger; those without an answer count as taken."""
        accepted: list[float] = []
        rejected: list[float] = []
        for entry in entries:
            (rejected if is_rejection(entry) else accepted).append(float(entry["time"]))
        return cls(sorted(accepted), sorted(rejected))

    @property
    def all(self) -> list[float]:
        """Whatever was sent."""
        return sorted([*self.accepted, *self.rejected])

    @property
    def rejected_per_10k(self) -> float:
        """Rejections in 10,000 requests."""
        total = len(self.accepted) + len(self.rejected)
        return len(self.rejected) / total * 10_000 if total else 0.0


def is_rejection(entry: Mapping[str, Any]) -> bool:
    """Whether Feishu said that too much was sent: by status, by its code, or for one chat."""
    return entry["status"] == 429 or entry["code"] in (99991400, 230020)


def full_windows(times: Sequence[float], seconds: float, until: float) -> list[int]:
    """How many fell into each window of *seconds*, laid end to end from the first time on.

    A window that was not over by *until* is left out: a burst at its start says nothing of it.
    """
    if not times:
        return []
    count = int((until - times[0]) / seconds)
    edges = [bisect_left(times, times[0] + number * seconds) for number in range(count + 1)]
    return [after - before for before, after in pairwise(edges)]


def per_minute(counts: Sequence[int], seconds: float) -> float:
    """What counts of full windows come to in a minute; 0 without any."""
    return sum(counts) / (len(counts) * seconds) * 60 if counts else 0.0


def most_in(times: Sequence[float], seconds: float, after: float = -math.inf) -> int:
    """The most in any window of *seconds* that begins at *after* or later."""
    most, first = 0, bisect_left(times, after)
    for last in range(first, len(times)):
        while times[last] - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which this share lies, the nearest rank; NaN without values."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def fair_shares(demands: Sequence[float], capacity: float) -> list[float]:
    """Max-min fair shares: nobody gets more than asked, what is left is parted evenly."""
    shares = [0.0] * len(demands)
    left, order = capacity, sorted(range(len(demands)), key=lambda place: demands[place])
    for number, place in enumerate(order):
        shares[place] = min(demands[place], left / (len(order) - number))
        left -= shares[place]
    return shares


def jain(ratios: Sequence[float]) -> float:
    """Jain's index: 1 when all are alike, 1/n when one has everything."""
    squares = sum(ratio * ratio for ratio in ratios)
    return sum(ratios) ** 2 / (len(ratios) * squares) if squares else 0.0


def canaries(times: Sequence[float], opened: float, answer_seconds: float) -> int:
    """Requests sent from *opened* on before the first of them can have been answered."""
    later = times[bisect_left(times, opened) :]
    return sum(time < later[0] + answer_seconds for time in later) if later else 0
