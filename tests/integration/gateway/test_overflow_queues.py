"""The registry of overflow queues, and who waits for whom in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.database import Database
from gateway.limits.buckets import Bucket
from gateway.overflow_queues import OverflowQueue, OverflowRegistry
from schemas.apis import Window

BUCKET = Bucket("default||POST /a", (Window(1000, 60), Window(50, 1)), name="POST /a")
QUEUE = OverflowQueue.of("default", "bulk", BUCKET)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.migrate()
    await database.execute("DELETE FROM overflow_queues")
    yield database
    await database.close()


@pytest.fixture
def registry(database: Database) -> OverflowRegistry:
    return OverflowRegistry(database)


async def gone(name: str) -> bool:
    return True


async def still_there(name: str) -> bool:
    return False


def test_a_queue_is_named_by_app_lane_and_bucket() -> None:
    assert QUEUE.name == "lark.overflow.default.bulk.367c8d123041e17a"
    assert OverflowQueue.of("default", "interactive", BUCKET).name != QUEUE.name
    assert (QUEUE.bucket, QUEUE.label, QUEUE.windows) == (BUCKET.key, "POST /a", "1000/60s 50/1s")
    assert OverflowQueue.of("default", "bulk", Bucket("k", ())).label == "other"


async def test_a_queue_is_entered_once_and_each_use_counts(registry: OverflowRegistry) -> None:
    await registry.register(QUEUE)
    (first,) = await registry.list()
    assert first.queue == QUEUE
    await asyncio.sleep(0.05)
    (idle,) = await registry.list()
    assert 0.05 <= idle.idle < 5
    assert idle.used_at == first.used_at
    await registry.register(QUEUE)
    (again,) = await registry.list()
    await registry.touch([QUEUE.name, "unknown"])
    (touched,) = await registry.list()
    assert first.created_at == again.created_at == touched.created_at
    assert first.used_at < again.used_at < touched.used_at


async def test_only_a_queue_that_nobody_used_is_looked_after(registry: OverflowRegistry) -> None:
    await registry.register(QUEUE)
    assert not await registry.retire(60, gone)
    assert await registry.retire(0, still_there)
    (row,) = await registry.list()
    assert row.idle < 5
    assert await registry.retire(0, gone)
    assert not await registry.list()
    assert not await registry.retire(0, gone)


async def test_what_fails_while_a_queue_is_removed_leaves_its_row(
    registry: OverflowRegistry,
) -> None:
    async def fail(name: str) -> bool:
        raise RuntimeError(name)

    await registry.register(QUEUE)
    with pytest.raises(RuntimeError, match=r"lark\.overflow"):
        await registry.retire(0, fail)
    assert len(await registry.list()) == 1


async def test_who_registers_waits_for_who_removes_and_the_queue_is_there_again(
    registry: OverflowRegistry,
) -> None:
    await registry.register(QUEUE)
    registering: list[asyncio.Task[None]] = []

    async def remove(name: str) -> bool:
        registering.append(asyncio.create_task(registry.register(QUEUE)))
        assert not await registry.retire(0, gone), "another process looks after the same queue"
        await asyncio.sleep(0.1)
        assert not registering[0].done()
        return True

    (before,) = await registry.list()
    assert await registry.retire(0, remove)
    await registering[0]
    (after,) = await registry.list()
    assert after.created_at > before.created_at
