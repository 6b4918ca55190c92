"""The calls of every app: both lanes, what comes back from the retry rungs, and what was moved."""

from __future__ import annotations

import asyncio

import structlog

from schemas import names

from .codec import Delivery
from .pipeline import Pipeline

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class CallHandler:
    """Hands deliveries of the apps' queues to the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def handle(self, delivery: Delivery) -> bool:
        """Carry one delivery to its end; True when it may be acked."""
        alias = names.alias_of(delivery.queue)
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
