"""What the pipeline and the executor ask of the outcome records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.catalogue import ApiClass


@dataclass(frozen=True, slots=True)
class Question:
    """A K or N call whose producer gave its id, as the records know it.

    `fingerprint` is of the call's content; `redelivered` says that the broker delivered this very
    message before, so that it may have been sent.
    """

    alias: str
    call_id: str
    klass: ApiClass
    fingerprint: bytes
    redelivered: bool


@dataclass(slots=True)
class Claim:
    """This process carries out the call, until the claim is completed or handed back."""

    question: Question
    owner: str
    written: bool
    """Whether a store holds it. Where none did, a redelivery finds nothing, which proves nothing."""
    started: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """How the call ended: `response` and `error` are JSON as in the reply, or None."""

    response: bytes | None
    error: bytes | None
    attempts: int
    app: str


@dataclass(frozen=True, slots=True)
class Running:
    """Another delivery of the same call is being carried out, here or in another process."""

    question: Question


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An N call was started, or may have been, by a process that is gone."""

    question: Question


class Outcomes(Protocol):
    """The records of K and N calls. Nothing here raises because a store is away, but `begin`."""

    async def claim(self, question: Question) -> Claim | Recorded | Running | InDoubt:
        """Ask for the right to carry out the call; raises Refused, `id_reused`."""
        ...

    async def begin(self, claim: Claim) -> None:
        """Mark an N call as started, before its first byte is sent; once is enough.

        Raises NotNow: `store_unavailable` where it can be marked nowhere, and after a delay of 0
        where another process has taken the call over; claim it again then.
        """
        ...

    async def complete(self, claim: Claim, recorded: Recorded) -> Recorded:
        """Record how the call ended, for 24 hours; returns what stands: the first end wins."""
        ...

    async def hand_back(self, claim: Claim, *, remember: bool) -> None:
        """The call is surely not executed and not carried out here any more.

        *remember*: another content under its id stays refused.
        """
        ...

    async def ended(self, running: Running, timeout: float) -> None:
        """Wait until the call may have ended, at most *timeout* seconds."""
        ...
