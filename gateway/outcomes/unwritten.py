"""What a store has not been told yet, because it was away: kept in memory, within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from .protocol import Question, Recorded

MOST_ENTRIES = 10_000
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """An end to record, or None where a claim is handed back."""

    question: Question
    recorded: Recorded | None
    remember: bool = False
    keeps_age: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """The call that it is of."""
        return self.question.alias, self.question.call_id

    @property
    def size(self) -> int:
        """Bytes that it holds, roughly."""
        recorded = self.recorded
        held = (recorded.response, recorded.error) if recorded else ()
        return 500 + sum(len(part) for part in held if part)


class Unwritten:
    """The last word on each call, oldest first; the oldest are dropped when it is full."""

    def __init__(self, *, most: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> int:
        """Keep an entry in the place of an earlier one of its call; how many were dropped."""
        self._pop(entry.key)
        self._entries[entry.key] = entry
        self._bytes += entry.size
        dropped = 0
        while len(self._entries) > self._most or self._bytes > self._most_bytes:
            self._pop(next(iter(self._entries)))
            dropped += 1
        return dropped

    def of(self, question: Question) -> Entry | None:
        """What is kept of a call."""
        return self._entries.get((question.alias, question.call_id))

    def first(self, count: int) -> list[Entry]:
        """The oldest entries."""
        return list(islice(self._entries.values(), count))

    def remove(self, entry: Entry) -> None:
        """Drop an entry, unless another has its place by now."""
        if self._entries.get(entry.key) is entry:
            self._pop(entry.key)

    def _pop(self, key: tuple[str, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
