"""One gateway process: what runs side by side, and how it comes to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.app_watch import AppWatch
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.producer_grant_watch import ProducerGrantWatch
from gateway.tokens.grant_keeper import GrantKeeper

from .app_janitor import AppJanitor
from .health import Checks
from .intake import Intake
from .limit_reports import LimitReports
from .overflow_queues import OverflowQueues
from .publisher import Publisher
from .scheduler import Scheduler

DATABASE_PAUSE = 2.0
"""Seconds between two looks at Postgres."""

CANCEL_SECONDS = 1.0
"""How long a task may take to end once it is cancelled, before it is cancelled again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Process:
    """The parts that live as long as the process."""

    publisher: Publisher
    calls: Intake
    dead: Intake
    overflow: OverflowQueues
    janitor: AppJanitor
    apps: AppWatch
    producers: ProducerGrantWatch
    grants: GrantKeeper
    limits: LimitReports
    scheduler: Scheduler
    database: Database
    metrics: Metrics
    drain_timeout: float

    @property
    def checks(self) -> Checks:
        """What must hold for calls to be carried out. Redis and Postgres may be away."""
        return {
            "producer-grants": self.producers.settled.is_set,
            "rabbitmq-consume": lambda: self.calls.ready,
            "rabbitmq-publish": lambda: self.publisher.ready,
            "rabbitmq-dead-letters": lambda: self.dead.ready,
            "rabbitmq-overflow": lambda: self.overflow.ready,
        }

    async def run(self, stop: asyncio.Event, at_once: asyncio.Event) -> None:
        """Work until *stop* is set, then drain, until *at_once* is set.

        Raises an ExceptionGroup when a part ends by itself: ConfigError where RabbitMQ or Postgres
        hold something else than this version needs.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.publisher.run()),
                group.create_task(self.producers.run()),
                group.create_task(self.calls.run()),
                group.create_task(self.dead.run()),
                group.create_task(self._once_settled()),
                group.create_task(self.janitor.run()),
                group.create_task(self._keep_database()),
                group.create_task(self.apps.run()),
                group.create_task(self.grants.run()),
                group.create_task(self.limits.run()),
            ]
            await stop.wait()
            await self._drain(at_once)
            await end(tasks)

    async def _once_settled(self) -> None:
        """Leave calls in their queues until it is known who may make them."""
        await self.producers.settled.wait()
        self.calls.look_again()
        await self.overflow.run()

    async def _keep_database(self) -> None:
        """Bring the schema up to date once Postgres is there, then watch that it stays."""
        answers = self.metrics.dependency_up.labels("postgres")
        migrated = False
        while True:
            try:
                if migrated:
                    await self.database.ping()
                else:
                    log.info("schema up to date", steps=await self.database.migrate())
                    migrated = True
                answers.set(1)
            except GatewayError as error:
                answers.set(0)
                log.warning("Postgres is away", migrated=migrated, reason=error.message)
            await asyncio.sleep(DATABASE_PAUSE)

    @property
    def _held(self) -> int:
        return self.calls.held + self.overflow.held

    async def _drain(self, at_once: asyncio.Event) -> None:
        """Stop intake, give back what was not started, finish what was."""
        began = time.monotonic()
        log.info("draining", held=self._held, seconds=self.drain_timeout)
        finishing = asyncio.create_task(self._finish(began + self.drain_timeout))
        impatient = asyncio.create_task(at_once.wait())
        await asyncio.wait({finishing, impatient}, return_when=asyncio.FIRST_COMPLETED)
        for task in (finishing, impatient):
            task.cancel()
        log.info("drained", held=self._held, seconds=round(time.monotonic() - began, 3))

    async def _finish(self, until: float) -> None:
        await asyncio.gather(self.calls.stop(), self.overflow.stop(), self.dead.stop())
        self.scheduler.close()
        for intake in (self.calls, self.overflow, self.dead):
            await intake.finish(max(0.0, until - time.monotonic()))


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all have ended: a channel that is being opened can swallow a cancel."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_SECONDS)
