"""Moves the excess of a saturated bucket out of the process, once, into the bucket's own queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from gateway.errors import ConfigError, GatewayError
from gateway.limits.buckets import Bucket
from gateway.metrics import Metrics
from gateway.overflow_queues import IDLE_SECONDS, OverflowQueue, OverflowRegistry
from schemas import names
from schemas.names import Lane

from .backlog import Backlog
from .congestion import Pace
from .copies import moved_copy
from .overflow_channel import NotConnected, OverflowChannel
from .publisher import Published, Publisher
from .work import Work

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
MOST_RETURNS = 3
AT_ONCE: Mapping[Lane, int] = {"interactive": 32, "bulk": 8}
"""Calls of a lane on their way at once: a backlog of thousands must not fill the event loop."""
COURTESY = 40.0
"""How many times its own lateness a bulk call makes way, while somebody waits."""
LONGEST_COURTESY = 0.5
LATELY = 2.0
"""Seconds after an interactive call in which the next one is expected."""
MOST_QUEUES = 1000
"""Overflow queues that one process moves calls into: each costs the broker a Raft group, and every
process a channel."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Place:
    """An overflow queue as this process knows it. Times are time.monotonic()."""

    queue: OverflowQueue
    registered: float = float("-inf")
    declared: bool = False
    asked: float = float("-inf")
    preparing: asyncio.Task[bool] | None = None


class Mover:
    """Registers, declares and fills overflow queues.

    A queue is registered again after a tenth of *idle*. While Postgres is away calls are moved for
    half of *idle* into a queue that this process had registered: until then nobody removes it.
    """

    def __init__(
        self,
        publisher: Publisher,
        registry: OverflowRegistry,
        channel: OverflowChannel,
        backlog: Backlog,
        metrics: Metrics,
        *,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._interactive_at = float("-inf")
        self._pace = Pace()
        self._publisher = publisher
        self._registry = registry
        self._channel = channel
        self._backlog = backlog
        self._metrics = metrics
        self._again_after, self._safe_for = idle / 10, idle / 2
        self._ask_pause = min(2.0, self._again_after)
        self._places: dict[str, _Place] = {}
        self._gates = {lane: asyncio.Semaphore(most) for lane, most in AT_ONCE.items()}

    def make_way(self) -> None:
        """An interactive call has come: bulk moves make way for it and those that follow."""
        self._interactive_at = time.monotonic()

    async def move(self, work: Work, bucket: Bucket) -> bool:
        """Move a call; True once the broker has confirmed it, so that the delivery may be acked.

        False: it cannot be moved now, and must be kept elsewhere.
        """
        place = self._place(OverflowQueue.of(work.alias, work.lane, bucket))
        if place is None:
            return False
        producer = work.envelope.history.producer
        returns, pause = 0, FIRST_PAUSE
        while await self._prepared(place):
            # Before it is published: a call that comes out went in at a later time than noted here.
            self._backlog.moved(bucket.key, work.lane, producer)
            outcome = await self._publish_in_turn(work, place.queue.name)
            if outcome is Published.CONFIRMED:
                self._metrics.calls_moved.labels(place.queue.label, work.lane).inc()
                return True
            if outcome is Published.RETURNED:
                # Somebody deleted the queue.
                place.declared = False
                returns += 1
                if returns < MOST_RETURNS:
                    continue
            if outcome in (Published.RETURNED, Published.NACKED):
                log.warning("overflow queue takes no calls", queue=place.queue.name, why=outcome)
                return False
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
        return False

    async def _publish_in_turn(self, work: Work, queue: str) -> Published:
        """Publish; while interactive calls come, bulk makes way as much as there is congestion.

        Congestion shows in what a turn of the event loop takes, and in what a confirm takes longer
        than the fastest of late.
        """
        async with self._gates[work.lane]:
            if work.lane == "interactive":
                return await self._publish(work, queue)
            began = time.monotonic()
            await asyncio.sleep(0)
            turned = time.monotonic()
            outcome = await self._publish(work, queue)
            late = turned - began + self._pace.lateness(time.monotonic() - turned)
            awaited = began - self._interactive_at < LATELY
            await asyncio.sleep(min(LONGEST_COURTESY, late * (COURTESY if awaited else 1)))
            return outcome

    async def _publish(self, work: Work, queue: str) -> Published:
        delivery, job = work.delivery, work.job
        properties = moved_copy(
            delivery,
            work.envelope,
            queue,
            attempts=job.attempts,
            tries=job.tries,
            now=time.time(),
        )
        return await self._publisher.publish(
            names.OVERFLOW_EXCHANGE,
            delivery.routing_key,
            delivery.body,
            mandatory=True,
            line=queue,
            **properties,
        )

    def _place(self, queue: OverflowQueue) -> _Place | None:
        place = self._places.get(queue.name)
        if place is None:
            self._forget_unused()
            if len(self._places) >= MOST_QUEUES:
                return None
            place = self._places[queue.name] = _Place(queue)
        return place

    def _forget_unused(self) -> None:
        # These would have to be registered and declared anew anyway.
        oldest = time.monotonic() - self._safe_for
        self._places = {
            name: place
            for name, place in self._places.items()
            if place.preparing is not None or place.registered > oldest
        }

    async def _prepared(self, place: _Place) -> bool:
        """Whether calls may be published to the queue: nobody removes it for some time."""
        age = time.monotonic() - place.registered
        safe = place.declared and age < self._safe_for
        if safe and age < self._again_after:
            return True
        if safe and time.monotonic() - place.asked < self._ask_pause:
            return True
        if place.preparing is None:
            place.asked = time.monotonic()
            place.preparing = asyncio.create_task(self._prepare(place))
        return safe or await asyncio.shield(place.preparing)

    async def _prepare(self, place: _Place) -> bool:
        try:
            began = time.monotonic()
            try:
                await self._registry.register(place.queue)
            except GatewayError as error:
                log.warning("overflow queue not registered", reason=error.message)
                if began - place.registered >= self._safe_for:
                    return False
            else:
                if began - place.registered >= self._safe_for:
                    # It may have been removed meanwhile.
                    place.declared = False
                place.registered = began
            if not place.declared:
                await self._channel.declare(place.queue.name)
                place.declared = True
        except (NotConnected, ConfigError) as error:
            log.warning("overflow queue not declared", queue=place.queue.name, reason=str(error))
            return False
        else:
            return True
        finally:
            place.preparing = None
