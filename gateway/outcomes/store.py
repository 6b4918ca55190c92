"""What a store of outcome records can do, and what it means when it does not answer."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple, Protocol

from .decision import Found
from .protocol import Question, Recorded

LEASE_SECONDS = 3.0
"""How long an owner counts as alive that does not say so."""
BEAT_SECONDS = 1.0
KEEP_SECONDS = 86_400
NOBODY = "-" * 16
"""The owner of a call in doubt: never alive, so that everyone is told so."""


class StoreAway(Exception):
    """The store does not answer in time or refuses. `unsent`: it surely was not told anything."""

    def __init__(self, reason: str, *, unsent: bool = False) -> None:
        super().__init__(reason)
        self.unsent = unsent


class Written(NamedTuple):
    """What a store did with a claim: `found` is what stood in its way."""

    found: Found | None
    epoch: str


class Begun(Enum):
    """What a store did with the mark of a start."""

    MARKED = auto()
    TAKEN = auto()
    """Another has the call."""
    FORGOTTEN = auto()
    """Not marked: the store may have forgotten that another has the call."""


class Store(Protocol):
    """Records by alias and call id; every method raises StoreAway, and does all or nothing."""

    owner: str
    """This process, as the records name it."""

    @property
    def is_away(self) -> bool:
        """Whether nobody asks it until a beat has reached it."""
        ...

    async def claim(self, question: Question, *, doubtful: bool) -> Written:
        """Write a claim where there is no record; *doubtful*: that the call is in doubt."""
        ...

    async def take_over(self, question: Question, found: Found, *, doubtful: bool) -> str | None:
        """Write it in the place of exactly what was found; the epoch, None where it changed."""
        ...

    async def begin(self, question: Question, epoch: str, *, careful: bool) -> Begun:
        """Mark this process's claim of that epoch as started.

        *careful*: another may have taken it over in an epoch that is past.
        """
        ...

    async def complete(self, question: Question, recorded: Recorded) -> Recorded:
        """Record how the call ended, unless an end is recorded; return what stands."""
        ...

    async def hand_back(self, question: Question, *, remember: bool, keeps_age: bool) -> None:
        """Delete this process's claim, or leave the content alone."""
        ...

    async def look(self, question: Question) -> Found | None:
        """Read a record."""
        ...

    async def beat(self) -> bool:
        """Say that this process is alive; whether what it wrote before may be missing."""
        ...

    async def leave(self) -> None:
        """Say that this process is gone."""
        ...

    def may_have_lapsed(self, since: float) -> bool:
        """Whether others may have thought this process dead since then (monotonic)."""
        ...
