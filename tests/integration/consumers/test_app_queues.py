"""Apps that come and go while calls are taken: what is declared, what is consumed, what is lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from consumers import app_janitor
from consumers.app_janitor import AppJanitor
from consumers.app_queues import AppQueues
from consumers.codec import Delivery
from consumers.connection import open_channel, open_connection
from consumers.intake import Intake
from consumers.overflow_channel import OverflowChannel
from consumers.topology import Topology
from gateway.apps import App, Apps, AppStatus
from gateway.database import Database
from gateway.limits.buckets import Bucket
from gateway.metrics import Metrics
from gateway.overflow_queues import OverflowQueue, OverflowRegistry
from gateway.removals import Removals
from schemas import names
from tests.support.builders import APP
from tests.support.waiting import eventually

NUMBERS = itertools.count()


@pytest.fixture
def app() -> App:
    """An app of the test's own, in a broker that others use as well."""
    return replace(APP, alias=f"comes-and-goes-{next(NUMBERS)}")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and take a short quiet for quiet: nothing here is slow to come."""
    monkeypatch.setattr(app_janitor, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(app_janitor, "QUIET_SECONDS", 0.3)


class Process:
    """The part of a gateway process that follows apps; keeps what it takes until `gate` is open."""

    def __init__(self, rabbitmq_url: str, database: Database, *apps: App) -> None:
        self.apps = Apps(apps)
        self.metrics = Metrics()
        self.queues = AppQueues(self.apps)
        self.taken: list[Delivery] = []
        self.acked: list[Delivery] = []
        self.purged: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.registry = OverflowRegistry(database)
        self.channel = OverflowChannel()
        self.calls = Intake(
            rabbitmq_url, "calls", self.queues.sources, self._take, self.metrics, prefetch=10
        )
        self.apps.on_change(self.calls.look_again)
        self.janitor = AppJanitor(
            self.queues,
            self.calls,
            self.channel,
            self.registry,
            Removals(database),
            self._purge,
        )

    async def _take(self, delivery: Delivery) -> bool:
        self.taken.append(delivery)
        await self.gate.wait()
        self.acked.append(delivery)
        return True

    async def _purge(self, alias: str) -> bool:
        self.purged.append(alias)
        return True

    def consumes(self, *apps: App) -> bool:
        queues = [queue.name for app in apps for queue in Topology.of_app(app.alias).queues]
        return all(map(self.calls._takers.takes, queues))

    async def depth(self, app: App) -> int | None:
        """How many calls wait in the bulk lane; None where the queue is gone."""
        look = await self.channel.look(names.calls_queue(app.alias, "bulk"))
        return None if look is None else look.messages

    async def is_gone(self, app: App) -> None:
        """Wait until the app's queues are deleted."""
        async with asyncio.timeout(20):
            while True:
                if await self.depth(app) is None:
                    return
                await asyncio.sleep(0.05)


class Calls:
    """Publishes calls, and sees those for nobody."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.unrouted: list[str] = []

    async def publish(self, app: App, *bodies: bytes, exchange: str = names.CALLS_EXCHANGE) -> None:
        connection = await open_connection(self._url, "test")
        channel = await open_channel(connection, confirms=True)
        for body in bodies:
            await channel.basic_publish(body, exchange=exchange, routing_key=f"{app.alias}.bulk")
        await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.migrate()
    yield opened
    await opened.close()


@asynccontextmanager
async def running(rabbitmq_url: str, database: Database, *apps: App) -> AsyncIterator[Process]:
    process = Process(rabbitmq_url, database, *apps)
    connection = await open_connection(rabbitmq_url, "test")
    process.channel.attach(connection)
    tasks = [asyncio.create_task(part.run()) for part in (process.calls, process.janitor)]
    try:
        await eventually(lambda: process.calls.ready)
        yield process
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.close()


async def test_a_new_app_is_consumed_at_once_and_disturbs_no_other(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    async with running(rabbitmq_url, database, app) as process:
        process.gate.clear()
        await Calls(rabbitmq_url).publish(app, b"in hand")
        await eventually(lambda: len(process.taken) == 1)
        new = replace(app, alias=f"{app.alias}-new")
        process.apps.replace([app, new])
        await eventually(lambda: process.consumes(app, new), within=1)
        await Calls(rabbitmq_url).publish(new, b"new")
        await eventually(lambda: len(process.taken) == 2)
        process.gate.set()
        await eventually(lambda: len(process.acked) == 2)
        assert not any(delivery.redelivered for delivery in process.taken)
        assert process.metrics.reconnects.labels("calls")._value.get() == 0


async def test_after_a_lost_connection_everything_is_declared_and_consumed_again(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    new = replace(app, alias=f"{app.alias}-new")
    async with running(rabbitmq_url, database, app) as process:
        process.apps.replace([app, new])
        await eventually(lambda: process.consumes(app, new))
        connection = process.calls._connection
        assert connection is not None
        await connection.close()
        await eventually(lambda: not process.calls.ready)
        await process.channel.delete(names.calls_queue(new.alias, "bulk"))
        await eventually(lambda: process.consumes(app, new))
        await Calls(rabbitmq_url).publish(new, b"after")
        await eventually(lambda: len(process.taken) == 1)


async def test_a_queue_that_somebody_deletes_is_declared_and_consumed_again(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    async with running(rabbitmq_url, database, app) as process:
        await process.channel.delete(names.calls_queue(app.alias, "bulk"))
        async with asyncio.timeout(10):
            while True:
                if await process.depth(app) is not None and process.consumes(app):
                    break
                await asyncio.sleep(0.05)
        await Calls(rabbitmq_url).publish(app, b"after")
        await eventually(lambda: len(process.taken) == 1)
        assert process.metrics.reconnects.labels("calls")._value.get() == 0


async def test_the_queues_of_a_removed_app_are_emptied_before_they_go(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    calls = Calls(rabbitmq_url)
    async with running(rabbitmq_url, database, APP, app) as process:
        process.gate.clear()
        bodies = [b"%d" % number for number in range(30)]
        await calls.publish(app, *bodies)
        await eventually(lambda: len(process.taken) == 10)
        process.apps.replace([APP, replace(app, status=AppStatus.REMOVED)])
        await is_unbound(process, calls, app, bodies)
        assert await process.depth(app) == len(bodies) - 10
        assert not process.purged
        process.gate.set()
        await process.is_gone(app)
        await eventually(lambda: process.purged == [app.alias])
        assert sorted(delivery.body for delivery in process.acked) == sorted(bodies)


async def test_calls_that_another_process_has_in_hand_keep_the_queues(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    removed = [APP, replace(app, status=AppStatus.REMOVED)]
    async with (
        running(rabbitmq_url, database, APP, app) as holder,
        running(rabbitmq_url, database, APP, app) as process,
    ):
        for each in (holder, process):
            each.gate.clear()
        await Calls(rabbitmq_url).publish(app, *[b"held"] * 4)
        await eventually(lambda: len(holder.taken) + len(process.taken) == 4)
        assert holder.taken
        process.gate.set()
        for each in (holder, process):
            each.apps.replace(removed)
        await eventually(lambda: not process.calls.has(names.calls_queue(app.alias, "bulk")))
        await asyncio.sleep(3 * app_janitor.QUIET_SECONDS)
        assert await process.depth(app) == 0
        holder.gate.set()
        await process.is_gone(app)
        await eventually(lambda: {*process.purged, *holder.purged} == {app.alias})
        assert len(holder.acked) + len(process.acked) == 4


async def test_what_comes_back_for_a_removed_app_after_its_queues_are_gone_is_unrouted(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    calls = Calls(rabbitmq_url)
    async with running(rabbitmq_url, database, APP, app) as process:
        process.apps.replace([APP, replace(app, status=AppStatus.REMOVED)])
        await process.is_gone(app)
        before = await waiting_for_nobody(process)
        await calls.publish(app, b"back", exchange=names.rung(1))
        async with asyncio.timeout(10):
            while True:
                if await waiting_for_nobody(process) > before:
                    return
                await asyncio.sleep(0.05)


async def test_a_removed_app_is_purged_only_after_its_overflow_queues(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    queue = OverflowQueue.of(app.alias, "bulk", Bucket(f"{app.alias}|api", ()))
    async with running(rabbitmq_url, database, APP, app) as process:
        await process.registry.register(queue)
        process.apps.replace([APP, replace(app, status=AppStatus.REMOVED)])
        await process.is_gone(app)
        await asyncio.sleep(10 * app_janitor.LOOK_SECONDS)
        assert not process.purged
        await database.execute("DELETE FROM overflow_queues WHERE name = $1", queue.name)
        await eventually(lambda: process.purged == [app.alias])


async def test_the_queues_of_an_alias_that_is_in_use_again_are_left_alone(
    rabbitmq_url: str, database: Database, app: App
) -> None:
    await database.execute(
        "INSERT INTO pools (alias, members, revision) VALUES ($1, '{default}', 0)", app.alias
    )
    async with running(rabbitmq_url, database, APP, app) as stale:
        stale.apps.replace([APP, replace(app, status=AppStatus.REMOVED)])
        await asyncio.sleep(4 * app_janitor.QUIET_SECONDS)
        await Calls(rabbitmq_url).publish(app, b"for the new one")
        await eventually(lambda: len(stale.taken) == 1)
        await database.execute("DELETE FROM pools WHERE alias = $1", app.alias)
        await stale.is_gone(app)


async def is_unbound(process: Process, calls: Calls, app: App, bodies: list[bytes]) -> None:
    """Wait until a call published now comes to nobody; *bodies* takes note of the others."""
    async with asyncio.timeout(10):
        for number in itertools.count():
            before = await waiting_for_nobody(process)
            body = b"late %d" % number
            await calls.publish(app, body)
            if await waiting_for_nobody(process) > before:
                return
            bodies.append(body)


async def waiting_for_nobody(process: Process) -> int:
    """How many calls wait in the queue of those that nobody knows."""
    look = await process.channel.look(names.UNROUTED)
    assert look is not None
    return look.messages
