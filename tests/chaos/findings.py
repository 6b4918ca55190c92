"""What a checker says: which promise was broken, by what, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tests.chaos.calls import find_id
from tests.chaos.ledger import ATTEMPTED, CONFIRMED, Book, Record, Story


class Invariant(StrEnum):
    """The promises that are checked, by their numbers in docs/chaos.md."""

    LOST = "I1 lost"
    FINAL = "I2 wrong or conflicting final"
    N_TWICE = "I3 N sent twice"
    K_TWICE = "I4 K effective twice"
    UNTRUE = "I5 untrue answer"
    CROSSED = "I6 crossed"
    LIMIT = "I7 limit exceeded"
    LATE = "I8 started late"
    REFRESH = "I9 token requests"
    SECRET = "I10 secret seen"
    REMAINS = "I11 remains"
    TROUBLE = "I12 trouble"
    RECOVERY = "I13 slow recovery"


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

    @classmethod
    def of(cls, record: Record) -> Self:
        """Put together what belongs to one id."""
        stories: defaultdict[str, Story] = defaultdict(Story)
        for line in record[Book.CALLS]:
            if line["kind"] == ATTEMPTED:
                stories[line["id"]].attempts.append(line)
            elif line["kind"] == CONFIRMED:
                stories[line["id"]].confirmed.append(line)
        for line in record[Book.REPLIES]:
            stories[str(line["correlation_id"])].replies.append(line)
        for line in record[Book.LETTERS]:
            stories[str(line["call_id"])].letters.append(line)
        for line in record[Book.REQUESTS]:
            if call_id := find_id(line["path"]):
                stories[call_id].requests.append(line)
        return cls(record, stories)


Check = Callable[[Case], Iterator[Finding]]
