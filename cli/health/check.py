"""What one check found, and how all of them are run side by side, each within its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

SECONDS: Final = 2.0
"""How long one check may take."""


class Status(StrEnum):
    """How one part is; degraded means that calls are carried out all the same."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


EXIT_CODES: Final = {Status.HEALTHY: 0, Status.DEGRADED: 1, Status.UNHEALTHY: 2}
_ORDER: Final = list(EXIT_CODES)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: in words, as facts for programs, and with a hint where something is to do."""

    name: str
    status: Status
    message: str
    hint: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can carry."""
        told = {"name": self.name, "status": self.status, "message": self.message}
        return {**told, "hint": self.hint, "facts": dict(self.facts)}


def healthy(name: str, message: str, **facts: Any) -> Check:
    """All is well."""
    return Check(name, Status.HEALTHY, message, facts=facts)


def degraded(name: str, message: str, hint: str | None = None, **facts: Any) -> Check:
    """Calls go on, but somebody should look."""
    return Check(name, Status.DEGRADED, message, hint, facts)


def unhealthy(name: str, message: str, hint: str | None = None, **facts: Any) -> Check:
    """Calls are not carried out."""
    return Check(name, Status.UNHEALTHY, message, hint, facts)


@dataclass(frozen=True, slots=True)
class Probe:
    """One question, which may have several findings; `late` is what it means without an answer."""

    name: str
    ask: Callable[[], Awaitable[Sequence[Check]]]
    late: Status


async def run_all(probes: Iterable[Probe], seconds: float = SECONDS) -> list[Check]:
    """Ask all at once and return the findings in the order of the probes."""
    asked = await asyncio.gather(*(_run(probe, seconds) for probe in probes))
    return [check for checks in asked for check in checks]


async def _run(probe: Probe, seconds: float) -> Sequence[Check]:
    try:
        async with asyncio.timeout(seconds):
            return await probe.ask()
    except TimeoutError:
        return [Check(probe.name, probe.late, f"no answer within {seconds:g} s")]


def worst(checks: Iterable[Check]) -> Status:
    """The status of the whole; healthy where nothing was asked."""
    return max((check.status for check in checks), key=_ORDER.index, default=Status.HEALTHY)
