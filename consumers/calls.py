"""The calls of every app: both lanes, what comes back from the retry rungs, and what was moved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from schemas import names

from .codec import Delivery
from .pipeline import Pipeline

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class CallHandler:
    """Hands deliveries of the apps' queues to the pipeline."""

    def __init__(self, aliases: Iterable[str], pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._alias_of = {queue: alias for alias in aliases for queue in _queues_of(alias)}

    @property
    def queues(self) -> tuple[str, ...]:
        """What to consume always; overflow queues come and go."""
        return tuple(self._alias_of)

    async def handle(self, delivery: Delivery) -> bool:
        """Carry one delivery to its end; True when it may be acked."""
        queue = delivery.queue
        if names.is_overflow_queue(queue):
            alias = names.alias_of_overflow(queue)
        else:
            alias = self._alias_of[queue]
        try:
            return await self._pipeline.process(delivery, alias)
        except Exception:
            log.exception("defect while processing a call", queue=delivery.queue)
        try:
            await self._pipeline.end_defect(delivery, alias)
        except Exception:
            # Not acked it would be held for ever; given back, RabbitMQ counts it and gives it up.
            log.exception("defect while ending a call", queue=delivery.queue)
            await asyncio.sleep(PAUSE_SECONDS)
            return False
        return True


def _queues_of(alias: str) -> Iterable[str]:
    yield from (names.calls_queue(alias, lane) for lane in names.LANES)
    yield names.retry_queue(alias)
