"""What the gateway asks of whoever keeps the limits, or only watches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from .buckets import Bucket
from .grant import Ask, Grant


class Limits(Protocol):
    """Gives permits and hears how Feishu answered. Times are of the monotonic clock."""

    @property
    def mode(self) -> Literal["redis", "local", "observe"]:
        """Who grants now: the store, this process's own share, or everyone who asks."""
        ...

    @property
    def live_processes(self) -> int:
        """Processes that share the limits, as last known."""
        ...

    async def start(self) -> None:
        """Begin what runs in the background."""
        ...

    async def close(self) -> None:
        """End it."""
        ...

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        """One grant for each ask, in their order; asks are served in the order given."""
        ...

    def release(self, buckets: tuple[Bucket, ...], holder: str) -> None:
        """The holder's call is not under way any more; its places are free."""
        ...

    async def rejected(self, bucket: Bucket, seconds: float, sent_at: float) -> bool:
        """Feishu said that this bucket is full for so long, to a request sent at this time.

        True when the next `acquire` holds its calls back for so long; else the caller must.
        """
        ...

    def accepted(self, buckets: tuple[Bucket, ...], permit_at: float) -> None:
        """Feishu took a request whose permit held from this time on."""
        ...

    def paused(self) -> list[Bucket]:
        """Buckets that are paused now, as this process has heard."""
        ...
