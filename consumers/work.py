"""One opened call on its way through the process."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gateway.jobs import Job
from schemas import names
from schemas.names import Lane

from .codec import Address, Delivery, Envelope
from .replies import Timing


@dataclass(slots=True)
class Work:
    """A delivery that turned out to be a call, and what became of it so far."""

    delivery: Delivery
    alias: str
    address: Address
    envelope: Envelope
    job: Job
    waited: float = 0.0
    """Seconds spent waiting for a permit, in an overflow queue or in line."""

    def __post_init__(self) -> None:
        if self.moved and self.delivery.exchange == names.OVERFLOW_EXCHANGE:
            self.waited = max(0.0, self.delivery.received - self.envelope.history.moved_at)

    @property
    def lane(self) -> Lane:
        """The lane that the producer chose; a delayed copy keeps its routing key."""
        words = self.delivery.routing_key.split(".")
        return "interactive" if words[1:2] == ["interactive"] else "bulk"

    @property
    def moved(self) -> bool:
        """Whether it was in an overflow queue, where it must not go again."""
        return self.envelope.history.moved_at > 0

    @property
    def producer(self) -> str | None:
        """The RabbitMQ user who published it, where the producer says so."""
        return self.envelope.history.producer

    @property
    def has_reply_to(self) -> bool:
        """Whether somebody waits for the answer."""
        return self.address.reply_to is not None

    def timing(self) -> Timing:
        """Where the time went, from first receipt until now."""
        total = time.time() - self.envelope.history.first_seen
        upstream = self.job.upstream_seconds
        return Timing(
            queue_ms=max(0, round((total - upstream - self.waited) * 1000)),
            limit_wait_ms=round(self.waited * 1000),
            upstream_ms=round(upstream * 1000),
            total_ms=max(0, round(total * 1000)),
        )
