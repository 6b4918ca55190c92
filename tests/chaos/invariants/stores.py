"""When the records of outcomes may have been out of reach, as docs/call-ids.md says of Redis."""

from __future__ import annotations

from typing import Final

from tests.chaos.findings import Case
from tests.chaos.ledger import Book, Story

_SETTLING_SECONDS: Final = 5.0


class Memory:
    """What was recorded of a call, and may have been forgotten or not found."""

    def __init__(self, case: Case) -> None:
        # Records that are kept in Postgres outlive whatever befalls Redis.
        durable = any(line.get("outcomes") == "postgres" for line in case.record[Book.REST])
        self._gaps = [] if durable else _gaps(case)

    def may_lack(self, story: Story) -> bool:
        """Whether Redis was out of reach or emptied in the life of this call."""
        said = [*story.attempts, *story.replies, *story.letters]
        first, last = min(line["at"] for line in said), max(line["at"] for line in said)
        return any(since <= last and first <= until for since, until in self._gaps)


def _gaps(case: Case) -> list[tuple[float, float]]:
    began: dict[tuple[str, str], float] = {}
    found = []
    for line in case.record[Book.FAULTS]:
        key = (line["fault"], line["target"])
        if not line["fault"].startswith("redis"):
            continue
        if line["kind"] == "began":
            began[key] = line["at"]
        elif key in began:
            found.append((began.pop(key), line["at"] + _SETTLING_SECONDS))
    return found + [(since, float("inf")) for since in began.values()]
