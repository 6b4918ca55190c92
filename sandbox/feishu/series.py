"""What was accepted and rejected, second by second, and the last rejections one by one."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

_ACCEPTED, _REJECTED = 1, 2


class Series:
    """Counts of the last `length` seconds in which anything was counted."""

    __slots__ = ("_rows",)

    def __init__(self, length: int = 3600) -> None:
        self._rows: deque[list[int]] = deque(maxlen=length)

    def accepted(self, now: float) -> None:
        self._row(int(now))[_ACCEPTED] += 1

    def rejected(self, now: float) -> None:
        self._row(int(now))[_REJECTED] += 1

    def clear(self) -> None:
        self._rows.clear()

    def rows(self, seconds: int = 1) -> list[list[int]]:
        """Per span of so many seconds with anything in it: its start, accepted, rejected."""
        spans: dict[int, list[int]] = {}
        for second, accepted, rejected in self._rows:
            start = second - second % seconds
            span = spans.setdefault(start, [start, 0, 0])
            span[_ACCEPTED] += accepted
            span[_REJECTED] += rejected
        return list(spans.values())

    def _row(self, second: int) -> list[int]:
        rows = self._rows
        if not rows or rows[-1][0] != second:
            rows.append([second, 0, 0])
        return rows[-1]


class Refused(NamedTuple):
    """One rejection. `kind` says by what (`api`, `quota`, or a kind of subject), `subject` which.

    `time` is Unix time in seconds.
    """

    time: float
    number: int
    app_id: str
    api: str
    kind: str
    subject: str
    code: int


class Refusals:
    """The last `length` rejections of all limits."""

    def __init__(self, length: int = 1000) -> None:
        self._last: deque[Refused] = deque(maxlen=length)

    def add(self, refused: Refused) -> None:
        self._last.append(refused)

    def clear(self) -> None:
        self._last.clear()

    def shown(self) -> list[dict[str, Any]]:
        """Oldest first, each as a JSON object."""
        return [refused._asdict() for refused in self._last]
