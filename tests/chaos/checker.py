"""Reads a ledger and says which promises were broken. Pure: nothing is asked of anybody."""

from __future__ import annotations

from typing import Final

from tests.chaos.findings import Case, Check, Finding
from tests.chaos.invariants import executions, finals, fleet
from tests.chaos.ledger import Record

CHECKS: Final[tuple[Check, ...]] = (
    finals.lost,
    finals.finals,
    executions.sent_twice,
    executions.effective_twice,
    executions.untrue,
    executions.crossed,
    executions.late,
    fleet.limits,
    fleet.refreshes,
    fleet.secrets,
    fleet.remains,
    fleet.trouble,
    fleet.recovery,
)


def check(record: Record) -> list[Finding]:
    """Every broken promise, in the order of the invariants."""
    case = Case.of(record)
    return [finding for each in CHECKS for finding in each(case)]
