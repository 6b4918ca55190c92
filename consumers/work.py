"""One opened call on its way through the process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from gateway.executor import Ended
from gateway.jobs import Job
from gateway.outcomes.protocol import Question
from schemas import names
from schemas.call import Call
from schemas.names import Lane

from .codec import Address, Delivery, Envelope
from .replies import Timing


@dataclass(slots=True)
class Routing:
    """The way of a pool's call from member to member."""

    call: Call
    refusals: dict[str, Ended] = field(default_factory=dict)
    """Who could not serve it, and how that was said, in the order in which they were asked."""
    claimed: str | None = None
    """Who is known to have it, by whoever takes it up after a crash."""


@dataclass(slots=True)
class Work:
    """A delivery that turned out to be a call, and what became of it so far."""

    delivery: Delivery
    alias: str
    address: Address
    envelope: Envelope
    job: Job
    routing: Routing | None = None
    """None for an app's own call."""
    question: Question | None = None
    """What the records are asked about it; None where its end is not recorded."""
    waited: float = 0.0
    """Seconds spent waiting for a permit, in an overflow queue or in line."""

    def __post_init__(self) -> None:
        if self.moved and self.delivery.exchange == names.OVERFLOW_EXCHANGE:
            self.waited = max(0.0, self.delivery.received - self.envelope.history.moved_at)

    @property
    def lane(self) -> Lane:
        """The lane that the producer chose; a delayed copy keeps its routing key."""
        return lane_of(self.delivery)

    @property
    def moved(self) -> bool:
        """Whether it was in an overflow queue, where it must not go again."""
        return self.envelope.history.moved_at > 0

    @property
    def is_copy(self) -> bool:
        """Whether the gateway sent it on itself, and so knows of every attempt before."""
        return self.delivery.exchange in names.OWN_EXCHANGES

    @property
    def redelivered(self) -> bool:
        """Whether it may have been sent by a delivery before, of which nobody knows the end."""
        return self.envelope.history.redelivered

    def may_be_sent(self) -> None:
        """A call of its id may have been sent before, and how that ended is not on record."""
        self._redelivered(now=True)

    def is_unsent(self) -> None:
        """It is certain that nothing was executed, whatever became of deliveries before."""
        self._redelivered(now=False)

    def _redelivered(self, *, now: bool) -> None:
        history = replace(self.envelope.history, redelivered=now)
        self.envelope = replace(self.envelope, history=history)

    @property
    def is_bound(self) -> bool:
        """Whether a member of the pool may have executed it, so that no other may be asked."""
        return self.envelope.history.member is not None

    def bind(self, member: str) -> None:
        """Have it stay with this member, in this process and in every copy."""
        history = replace(self.envelope.history, member=member)
        self.envelope = replace(self.envelope, history=history)

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


def lane_of(delivery: Delivery) -> Lane:
    """The lane in the routing key."""
    words = delivery.routing_key.split(".")
    return "interactive" if words[1:2] == ["interactive"] else "bulk"
