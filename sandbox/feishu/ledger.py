"""What arrived and what was answered."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One request, written before it is acted upon; `key` is its idempotency key."""

    number: int
    time: float
    method: str
    path: str
    template: str
    app_id: str
    token: str
    body_hash: str
    key: str
    tenant: str = ""


class Capture(NamedTuple):
    """A request as it came over the wire."""

    number: int
    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Ledger:
    """The last `size` requests with their answers, the last `captures` in full, and counters.

    Numbers begin at 1 and never repeat, not even after `clear`.
    """

    def __init__(self, size: int = 200_000, captures: int = 200) -> None:
        self._size = size
        self._entries: list[Entry | None] = [None] * size
        # Answers live beside the entries, so that an entry stays a tuple of plain values,
        # which the garbage collector need not visit again.
        self._statuses = array("i", bytes(4 * size))
        self._codes = array("i", bytes(4 * size))
        self.captures: deque[Capture] = deque(maxlen=captures)
        self.last_number = 0
        self._first_number = 1
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.codes: Counter[int] = Counter()
        self.effects: Counter[str] = Counter()

    def next_number(self) -> int:
        self.last_number += 1
        return self.last_number

    def write(self, entry: Entry) -> None:
        """Record a request before it is acted upon."""
        place = entry.number % self._size
        self._entries[place] = entry
        self._statuses[place] = self._codes[place] = 0
        self.requests[f"{entry.method} {entry.template}"] += 1

    def answered(self, number: int, status: int, code: int) -> None:
        """Record the answer; one that never left stays at status 0."""
        self.statuses[status] += 1
        self.codes[code] += 1
        if number >= max(self._first_number, self.last_number - self._size + 1):
            place = number % self._size
            self._statuses[place] = status
            self._codes[place] = code

    def entries(self, since: int = 0) -> Iterator[dict[str, Any]]:
        """Entries numbered above `since` that are still held, oldest first."""
        first = max(since + 1, self._first_number, self.last_number - self._size + 1)
        for number in range(first, self.last_number + 1):
            place = number % self._size
            entry = self._entries[place]
            if entry is not None:
                answer = {"status": self._statuses[place], "code": self._codes[place]}
                yield entry._asdict() | answer

    def clear(self) -> None:
        """Forget entries and counts."""
        self._first_number = self.last_number + 1
        self._entries = [None] * self._size
        self.captures.clear()
        self.effects.clear()
        self.clear_counts()

    def clear_counts(self) -> None:
        """Forget how many requests and answers there were; entries and effects stay."""
        for counter in (self.requests, self.statuses, self.codes):
            counter.clear()
