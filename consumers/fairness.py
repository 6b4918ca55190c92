"""Who is next among producers that share a line. Pure."""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import count, zip_longest
from typing import Generic, TypeVar

MOST_PRODUCERS = 64
"""Producers with a queue of their own; the others share as many queues, by a hash."""

T = TypeVar("T")
_Key = str | int | None
_Entry = tuple[float, int, T]


class FairQueue(Generic[T]):
    """Producers by deficit round robin, a producer's items by deadline, equal ones as they came.

    Every item costs one permit, so that a turn of the ring is a quantum of one and no deficit is
    ever carried. An item is in the queue once.
    """

    def __init__(self) -> None:
        # The order of the keys is the ring: who is next comes first, who had its turn goes last.
        self._ring: dict[_Key, list[_Entry[T]]] = {}
        self._places: dict[T, tuple[_Key, float, int]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        """Every item, in the order in which they would be served."""
        return self.walk(lambda _: True)

    def add(self, item: T, producer: str | None, deadline: float) -> None:
        """Put an item behind those of the same producer that must be done earlier."""
        key, number = self._key(producer), next(self._numbers)
        self._places[item] = (key, deadline, number)
        insort(self._ring.setdefault(key, []), (deadline, number, item))

    def remove(self, item: T) -> None:
        """Take an item out, wherever it stands, if it is still there."""
        place = self._places.pop(item, None)
        if place is None:
            return
        key, deadline, number = place
        entries = self._ring[key]
        del entries[bisect_left(entries, (deadline, number))]
        if not entries:
            del self._ring[key]

    def first(self, ready: Callable[[T], bool]) -> T | None:
        """The next one of those that are ready."""
        for entries in self._ring.values():
            for _, _, item in entries:
                if ready(item):
                    return item
        return None

    def walk(self, ready: Callable[[T], bool]) -> Iterator[T]:
        """Those that are ready, in the order in which they would be served one after the other."""
        rows = [[item for _, _, item in entries if ready(item)] for entries in self._ring.values()]
        for turn in zip_longest(*rows):
            yield from (item for item in turn if item is not None)

    def serve(self, item: T) -> None:
        """The producer of this item has its turn now: it goes to the end of the ring."""
        key = self._places[item][0]
        self._ring[key] = self._ring.pop(key)

    def before(self, deadline: float) -> list[T]:
        """The items whose deadline is not after this one."""
        late = []
        for entries in self._ring.values():
            for at, _, item in entries:
                if at > deadline:
                    break
                late.append(item)
        return late

    def earliest(self) -> float | None:
        """The deadline that comes first."""
        return min((entries[0][0] for entries in self._ring.values()), default=None)

    def _key(self, producer: str | None) -> _Key:
        if producer in self._ring or len(self._ring) < MOST_PRODUCERS:
            return producer
        return zlib.crc32((producer or "").encode()) % MOST_PRODUCERS
