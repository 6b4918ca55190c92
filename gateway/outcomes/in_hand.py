"""The calls that this process carries out, or is asking for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from .protocol import Claim, Question


@dataclass(slots=True, eq=False)
class Held:
    """One call; `since` and `started_at` are monotonic."""

    question: Question
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = field(default_factory=time.monotonic)
    claim: Claim | None = None
    started_at: float | None = None
    in_arbiter: bool = False
    """The arbiter has a row of it as well, or alone."""

    def start(self) -> None:
        """Note that it is started."""
        self.started_at = time.monotonic()


class InHand:
    """Finds the calls by alias and call id; whoever waits for one is told when it leaves."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Held] = {}

    def enter(self, question: Question) -> Held:
        """Hold a call that is not held."""
        held = self._held[question.alias, question.call_id] = Held(question)
        return held

    def leave(self, held: Held) -> None:
        """Hold it no more."""
        held.ended.set()
        key = held.question.alias, held.question.call_id
        if self._held.get(key) is held:
            del self._held[key]

    def find(self, question: Question) -> Held | None:
        """The call of this id."""
        return self._held.get((question.alias, question.call_id))

    def of(self, claim: Claim) -> Held | None:
        """The call of exactly this claim; None once that is void."""
        held = self.find(claim.question)
        return held if held is not None and held.claim is claim else None

    def any_in_arbiter(self) -> bool:
        """Whether the arbiter must know that this process is alive."""
        return any(held.in_arbiter for held in self._held.values())

    def started(self) -> list[Held]:
        """The N calls that are started."""
        return [held for held in self._held.values() if held.started_at is not None]

    def oldest_start(self) -> float:
        """Seconds since the start of the N call that runs longest; 0 when none runs."""
        starts = [held.started_at for held in self._held.values() if held.started_at is not None]
        return time.monotonic() - min(starts) if starts else 0.0
