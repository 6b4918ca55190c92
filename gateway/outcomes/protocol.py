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
    key_seconds: float = 3000.0
    """How long Feishu surely discards repeats of a K call by its key: its shortest window is an
    hour, and the clocks of two companies are compared."""


@dataclass(slots=True)
class Claim:
    """This process carries out the call, until the claim is completed or handed back."""

    question: Question
    owner: str
    written: bool
    """Whether a store may hold it. Where none does, a redelivery finds nothing, and that proves
    nothing."""
    started: bool = False
    epoch: str = ""
    """The life of the store in which it was written."""
    known: bool = False
    """Whether its content was on record before: the call may have been attempted."""


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
    """A call was started, or may have been, by a process that is gone, and must not be repeated.

    Complete `claim` with the answer that says so: it gives what stands, which is how the call
    ended after all where that was recorded meanwhile.
    """

    question: Question
    claim: Claim


class Outcomes(Protocol):
    """The records of K and N calls. Nothing here raises because a store is away, but `begin`."""

    async def claim(self, question: Question) -> Claim | Recorded | Running | InDoubt:
        """Ask for the right to carry out the call; raises Refused, `id_reused`."""
        ...

    async def begin(self, claim: Claim) -> None:
        """Mark a call as started, before its first byte is sent; once is enough, and free for K.

        Raises NotNow: `store_unavailable` where it can be marked nowhere, and after a delay of 0
        where another process has taken the call over: the claim is void, so claim it again.
        """
        ...

    async def complete(self, claim: Claim, recorded: Recorded) -> Recorded:
        """Record how the call ended, for 24 hours; returns what stands: the first end wins."""
        ...

    async def hand_back(self, claim: Claim, *, remember: bool) -> None:
        """The call is not carried out here any more; an N call is surely not executed.

        *remember*: another content under its id stays refused.
        """
        ...

    async def ended(self, running: Running, timeout: float) -> None:
        """Wait until the call may have ended, at most *timeout* seconds."""
        ...
