"""Open breakers as lines see them: pauses of the buckets that they concern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.circuits import Circuits, Leave
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant
from gateway.limits.protocol import Limits


class CircuitGate:
    """Grants what the limiter grants, to those whom no breaker holds back.

    Who is held back is told so without asking the limiter, so that no permit is wasted.
    """

    def __init__(self, limits: Limits, circuits: Circuits) -> None:
        self._limits = limits
        self._circuits = circuits

    @property
    def live_processes(self) -> int:
        """Processes that share the limits, as last known."""
        return self._limits.live_processes

    def release(self, buckets: tuple[Bucket, ...], holder: str) -> None:
        """Give back the places that a holder takes, in the background."""
        self._limits.release(buckets, holder)

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        """Answer every ask, in order."""
        if self._circuits.is_quiet:
            return await self._limits.acquire(asks)
        leaves = [self._circuits.allows(ask.buckets[0].key, ask.want) for ask in asks]
        allowed = [
            ask._replace(want=leave.calls)
            for ask, leave in zip(asks, leaves, strict=True)
            if leave.calls
        ]
        grants = iter(await self._limits.acquire(allowed) if allowed else [])
        return [_granted(ask, leave, grants) for ask, leave in zip(asks, leaves, strict=True)]


def _granted(ask: Ask, leave: Leave, grants: Iterator[Grant]) -> Grant:
    grant = next(grants) if leave.calls else Grant(0, 0.0, 0.0, "")
    if grant.granted < leave.calls or leave.calls == ask.want:
        return grant
    return Grant(grant.granted, grant.delay, leave.wait, leave.reason, 0)
