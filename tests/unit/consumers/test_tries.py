"""Who waits in line for an app that can serve nobody any more is told so at once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any, cast

import orjson

from consumers.backlog import Backlog
from consumers.members import Members
from consumers.opening import Opener
from consumers.scheduler import Scheduler
from consumers.tries import Tries
from consumers.work import Work
from gateway.apps import App, Apps, AppStatus, Pool
from gateway.errors import Refused
from gateway.executor import Ended, Executor
from gateway.jobs import Job
from gateway.member_claims import MemberClaims
from gateway.metrics import Metrics
from gateway.producer_grants import ProducerGrants
from schemas import names
from schemas.reply import ErrorType
from tests.support.builders import APP, dimensions, make_delivery
from tests.support.calls import read
from tests.support.doled import Doled, full
from tests.support.lines import settled

ONE, TWO = (replace(APP, alias=name, app_id=f"cli_{name}") for name in ("a", "b"))
POOL = Pool("all", ("a",))
BROKEN = Refused(ErrorType.CREDENTIALS_INVALID, "no")


class Feishu:
    """An executor whose every call ends in the same way."""

    def __init__(self) -> None:
        self.executed: list[str] = []

    async def foresee(self, job: Job) -> None:
        """Nothing is known before."""

    async def execute(self, job: Job) -> Ended:
        self.executed.append(job.call_id)
        return Ended(None, BROKEN)


class Site:
    """Two apps and a pool of one of them, whose lines do not move."""

    def __init__(self, limiter: Any) -> None:
        self.apps = Apps([ONE, TWO], [POOL])
        self.feishu = Feishu()
        self.scheduler = Scheduler(limiter, cap=100)
        members = Members(self.apps, dimensions(), Backlog(), list)
        self._opener = Opener(
            *(self.apps, dimensions(), members, cast(MemberClaims, None)),
            ProducerGrants(dimensions()),
        )
        self._tries = Tries(
            self.apps, members, self.scheduler, cast(Executor, self.feishu), Metrics()
        )

    def open(self, alias: str) -> Work:
        deadline = {names.HEADER_DEADLINE: int((time.time() + 60) * 1000)}
        delivery = make_delivery(
            orjson.dumps(read()),
            routing_key=f"{alias}.bulk",
            received=time.time(),
            headers=deadline,
        )
        return self._opener.open(delivery, alias)

    def start(self, work: Work) -> asyncio.Task[Ended]:
        return asyncio.create_task(self._tries.make(work))

    async def close(self, *tasks: asyncio.Task[Ended]) -> None:
        self.scheduler.close()
        await asyncio.gather(*tasks, return_exceptions=True)


def error_of(task: asyncio.Task[Ended]) -> ErrorType | None:
    error = task.result().error
    return error.type if error else None


async def test_calls_in_line_are_refused_when_their_app_is_disabled_or_removed() -> None:
    for status, told in (
        (AppStatus.DISABLED, ErrorType.APP_UNAVAILABLE),
        (AppStatus.REMOVED, ErrorType.UNROUTED),
    ):
        site = Site(Doled(full(30.0), full(30.0)))
        tasks = [site.start(site.open(alias)) for alias in ("a", "a", "b")]
        await settled()
        site.apps.replace([replace(ONE, status=status), TWO], [POOL])
        await settled()
        assert [task.done() for task in tasks] == [True, True, False]
        assert [error_of(task) for task in tasks[:2]] == [told, told]
        assert not site.feishu.executed
        await site.close(*tasks)


async def test_calls_in_line_for_a_pool_are_refused_when_it_is_removed() -> None:
    site = Site(Doled(full(30.0)))
    tasks = [site.start(site.open(alias)) for alias in ("all", "a")]
    await settled()
    site.apps.replace([ONE, TWO], [replace(POOL, removed=True)])
    await settled()
    assert [task.done() for task in tasks] == [True, False]
    assert error_of(tasks[0]) is ErrorType.UNROUTED
    await site.close(*tasks)


async def test_an_unreadable_secret_is_waited_for_without_a_turn() -> None:
    limiter = Doled()
    site = Site(limiter)
    work = site.open("a")
    site.apps.replace([unreadable(ONE), TWO], [POOL])
    ended = await site.start(work)
    assert ended.error is not None
    assert ended.error.type is ErrorType.STORE_UNAVAILABLE
    assert ended.error.retry_after == 5.0
    assert not limiter.batches


async def test_pools_calls_in_line_leave_a_member_that_turns_out_to_be_broken() -> None:
    limiter = Doled(full(30.0))
    site = Site(limiter)
    own, pools, doubtful = site.open("a"), site.open("all"), site.open("all")
    doubtful.job.doubtful = True
    waiting = [site.start(work) for work in (own, pools, doubtful)]
    await settled()
    first = site.open("all")
    # Another API: its line moves.
    first.job.buckets = (replace(first.job.buckets[0], key="another"),)
    assert error_of_ended(await site.start(first)) is ErrorType.CREDENTIALS_INVALID
    await settled()
    assert [task.done() for task in waiting] == [False, True, False]
    assert error_of(waiting[1]) is ErrorType.CREDENTIALS_INVALID
    assert len(site.feishu.executed) == 1
    await site.close(*waiting)


def unreadable(app: App) -> App:
    return replace(app, unreadable="no key")


def error_of_ended(ended: Ended) -> ErrorType | None:
    return ended.error.type if ended.error else None
