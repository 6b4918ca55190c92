"""One try of a call: its turn in line, and what the executor makes of it."""

from __future__ import annotations

import time

from gateway.apps import Apps
from gateway.errors import Expired, GatewayError
from gateway.executor import Ended
from gateway.guard import Guard
from gateway.jobs import Job
from gateway.metrics import Metrics

from .members import Members
from .scheduler import Scheduler
from .work import Work


class Tries:
    """Tries calls, as long as their apps can serve them."""

    def __init__(
        self,
        apps: Apps,
        members: Members,
        scheduler: Scheduler,
        executor: Guard,
        metrics: Metrics,
    ) -> None:
        self._apps = apps
        self._members = members
        self._scheduler = scheduler
        self._executor = executor
        self._metrics = metrics
        # Who waits for the turn of an app that was disabled or removed is answered at once.
        apps.on_change(lambda: scheduler.dismiss(self._refused))

    async def make(self, work: Work) -> Ended:
        """Try once; raises what the scheduler raises for a call that must wait elsewhere."""
        job = work.job
        if time.time() >= job.deadline:
            return Ended(None, Expired())
        try:
            self._apps.get(job.app.alias)
        except GatewayError as error:
            return Ended(None, error)
        self._members.entered(job)
        try:
            return await self._in_turn(work, job)
        finally:
            self._members.left(job)

    async def _in_turn(self, work: Work, job: Job) -> Ended:
        try:
            await self._executor.foresee(job)
            turn = await self._scheduler.turn(
                job, work.lane, producer=work.producer, moved=work.moved
            )
        except GatewayError as error:
            return Ended(None, error)
        try:
            job.permit_at = turn.permit_at
            work.waited += turn.waited
            wait = self._metrics.limit_wait_seconds.labels(job.route.name, work.lane)
            wait.observe(turn.waited)
            # Its secret may have been changed while the call waited.
            job.app = self._apps.current(job.app)
            ended = await self._executor.execute(job)
        finally:
            self._scheduler.finished(job, turn)
        # Only of what Feishu said: that an app is disabled here is known at every look.
        if self._members.heard(job, ended.error) and ended.error is not None:
            self._send_elsewhere(job.app.alias, ended.error)
        return ended

    def _refused(self, job: Job) -> GatewayError | None:
        try:
            if job.pool is None or self._apps.pool(job.pool) is None:
                self._apps.find(job.alias)
            self._apps.find(job.app.alias)
        except GatewayError as error:
            return error
        return None

    def _send_elsewhere(self, alias: str, error: GatewayError) -> None:
        """Let the pools' calls in line for this app be passed on: it would fail them one by one."""
        self._scheduler.dismiss(
            lambda job: error if job.app.alias == alias and job.pool and not job.doubtful else None
        )
