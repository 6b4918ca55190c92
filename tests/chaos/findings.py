"""What a checker says: which promise was broken, by which call, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.ledger import Record, Story


class Invariant(StrEnum):
    """The promises that are checked, by their numbers in docs/chaos.md."""

    LOST = "I1 lost"
    CONFLICT = "I2 conflicting finals"
    N_TWICE = "I3 N sent twice"
    K_TWICE = "I4 K effective twice"
    UNTRUE = "I5 ok without execution"
    CROSSED = "I6 crossed"
    LIMIT = "I7 limit exceeded"
    LATE = "I8 started late"
    REFRESH = "I9 token requests"
    SECRET = "I10 secret seen"
    REMAINS = "I11 remains"
    TROUBLE = "I12 trouble"
    RECOVERY = "I13 recovery"


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise; `subject` is a call id, an API, a queue or a process."""

    invariant: Invariant
    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.subject}: {self.what}"


@dataclass(frozen=True, slots=True)
class Case:
    """A ledger, with the story of each call that it tells of."""

    record: Record
    stories: Mapping[str, Story]


Check = Callable[[Case], Iterator[Finding]]
