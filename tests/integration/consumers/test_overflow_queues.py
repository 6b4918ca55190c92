"""How overflow queues are found, emptied, and removed."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from aiormq import Channel
from aiormq.exceptions import ChannelNotFoundEntity

from consumers.connection import open_channel, open_connection
from consumers.overflow_queues import MOST_TAKEN
from gateway.limits.buckets import Bucket
from schemas import names
from tests.support.overflow import MovingProcess, bucket_named, moving_process, work_of
from tests.support.waiting import eventually

Start = Callable[..., AbstractAsyncContextManager[MovingProcess]]
ALIASES = (f"app-{number}" for number in itertools.count())


class Queues:
    """What a test calls its own in a broker that others use as well."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def of(self, bucket: Bucket) -> str:
        return names.overflow_queue(self.alias, "bulk", bucket.key)

    async def move(
        self, process: MovingProcess, bucket: Bucket, *bodies: bytes, user: str = "shop"
    ) -> bool:
        works = (work_of(body, alias=self.alias, user_id=user) for body in bodies)
        return all(await asyncio.gather(*(process.mover.move(work, bucket) for work in works)))


@pytest.fixture
def queues() -> Queues:
    return Queues(next(ALIASES))


@pytest.fixture
def start(rabbitmq_url: str, database_url: str, queues: Queues) -> Start:
    """Starts a process that takes the test's own calls."""
    return partial(moving_process, rabbitmq_url, database_url, aliases=[queues.alias])


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[Channel]:
    connection = await open_connection(rabbitmq_url, "test")
    yield await open_channel(connection, confirms=False)
    await connection.close()


async def exists(rabbitmq_url: str, queue: str) -> bool:
    connection = await open_connection(rabbitmq_url, "test")
    try:
        await (await open_channel(connection, confirms=False)).queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        return False
    else:
        return True
    finally:
        await connection.close()


async def test_a_process_takes_at_once_what_it_has_moved(start: Start, queues: Queues) -> None:
    async with start() as process:
        assert await queues.move(process, bucket_named("own"), b"1", b"2")
        await process.takes(2)
        (first, second) = process.taken
        assert (first.body, second.body) == (b"1", b"2")
        assert (first.exchange, first.routing_key) == ("lark.overflow", f"{queues.alias}.bulk.more")
        assert names.alias_of(first.queue) == queues.alias
        assert not first.redelivered


async def test_a_process_that_starts_finds_what_others_have_moved(
    start: Start, queues: Queues
) -> None:
    bucket, bodies = bucket_named("found", "found"), [b"%d" % n for n in range(50)]
    async with start(aliases=()) as gone:
        assert await queues.move(gone, bucket, *bodies)
        assert not gone.taken
    async with (
        start(aliases=["somebody-else"]) as stranger,
        start(holds=True) as process,
    ):
        await process.takes(MOST_TAKEN)
        level = partial(process.metric, bucket="found", lane="bulk")
        await eventually(lambda: level("overflow_depth") == 50 - MOST_TAKEN)
        assert process.backlog.depth("found", "bulk") == 50 - MOST_TAKEN
        assert process.queues.held == len(process.taken) == MOST_TAKEN
        await eventually(lambda: 0 < level("overflow_oldest_seconds") < 60)
        process.gate.set()
        await process.takes(50)
        assert process.bodies == bodies
        await eventually(lambda: level("overflow_depth") == level("overflow_oldest_seconds") == 0)
        assert process.backlog.depth("found", "bulk") == 0
        assert not stranger.taken


async def test_a_producers_calls_are_known_to_wait_until_the_last_came_out(
    start: Start, queues: Queues
) -> None:
    bucket = bucket_named("whose")
    async with start(holds=True) as process:
        assert await queues.move(
            process, bucket, *(b"%d" % n for n in range(MOST_TAKEN)), user="early"
        )
        assert await queues.move(process, bucket, b"late", user="late")
        await process.takes(MOST_TAKEN)
        assert process.backlog.holds("whose", "bulk", "late")
        process.gate.set()
        await process.takes(MOST_TAKEN + 1)
        for user in ("early", "late"):
            assert not process.backlog.holds("whose", "bulk", user)


async def test_what_a_lost_connection_had_in_hand_comes_again(start: Start, queues: Queues) -> None:
    bucket = bucket_named("cut")
    async with start(holds=True) as process:
        assert await queues.move(process, bucket, b"1", b"2", b"3")
        await process.takes(3)
        connection = process.queues._takers._connection
        assert connection is not None
        await connection.close()
        await process.takes(6)
        process.gate.set()
        assert process.bodies[3:] == process.bodies[:3]
        assert all(delivery.redelivered for delivery in process.taken[3:])


async def test_who_drains_takes_nothing_more_and_gives_back_what_was_not_started(
    start: Start,
    queues: Queues,
) -> None:
    bucket = bucket_named("drained")
    async with start(holds=True) as process, start(aliases=()) as other:
        process.carried_out = False
        assert await queues.move(other, bucket, *(b"%d" % n for n in range(40)))
        await process.takes(MOST_TAKEN)
        await process.queues.stop()
        process.gate.set()
        assert await process.queues.finish(5) == 0
        assert len(process.taken) == MOST_TAKEN
        assert not process.queues.ready
        async with start() as successor:
            await successor.takes(40)
            assert sorted(successor.bodies) == sorted(b"%d" % n for n in range(40))


async def test_an_empty_queue_that_nobody_uses_is_removed_by_any_process(
    start: Start, queues: Queues, rabbitmq_url: str
) -> None:
    bucket = bucket_named("removed", "removed")
    async with start(idle=1) as process, start(aliases=(), idle=1):
        assert await queues.move(process, bucket, b"1")
        await process.takes(1)
        await process.removed(queues.of(bucket))
        assert not await exists(rabbitmq_url, queues.of(bucket))
        assert await queues.move(process, bucket, b"2")
        await process.takes(2)
        assert queues.of(bucket) in await process.registered()


async def test_a_queue_with_calls_in_it_or_in_hand_is_never_removed(
    start: Start, queues: Queues, rabbitmq_url: str
) -> None:
    waiting, held = bucket_named("waiting"), bucket_named("held")
    async with start(aliases=()) as mover:
        assert await queues.move(mover, waiting, b"1", b"2")
        assert await queues.move(mover, held, b"3")
    async with start(holds=True) as holder:
        await holder.takes(3)
        async with start(aliases=(), idle=0.2) as janitor:
            await asyncio.sleep(2)
            assert {queues.of(waiting), queues.of(held)} <= await janitor.registered()
    async with start(aliases=(), idle=0.2) as janitor:
        await asyncio.sleep(2)
        assert {queues.of(waiting), queues.of(held)} <= await janitor.registered()
    async with start() as process:
        await process.takes(3)
        assert sorted(process.bodies) == [b"1", b"2", b"3"]


async def test_a_row_whose_queue_is_gone_is_removed(
    start: Start, queues: Queues, channel: Channel
) -> None:
    bucket = bucket_named("row alone")
    async with start(idle=1) as process:
        assert await queues.move(process, bucket, b"1")
        await channel.queue_delete(queues.of(bucket))
        await process.removed(queues.of(bucket))


async def test_no_call_is_lost_between_who_moves_and_who_removes(
    start: Start, queues: Queues
) -> None:
    buckets = [bucket_named(f"race-{number}") for number in range(6)]
    draw = random.Random(5)
    sent: list[bytes] = []
    made: set[tuple[str, object]] = set()
    async with (
        start(idle=0.5) as one,
        start(idle=0.5) as two,
    ):

        async def keep_moving(bucket: Bucket) -> None:
            for number in range(12):
                await asyncio.sleep(draw.uniform(0, 1.2))
                body = f"{bucket.key} {number}".encode()
                if await queues.move(draw.choice((one, two)), bucket, body):
                    sent.append(body)
                made.update((row.queue.name, row.created_at) for row in await one.registry.list())

        await asyncio.gather(*map(keep_moving, buckets))
        await eventually(lambda: len(one.taken) + len(two.taken) >= len(sent))
        assert sorted(one.bodies + two.bodies) == sorted(sent)
        assert len(sent) > 8 * len(buckets), "hardly a call was moved"
        assert len(made) > 2 * len(buckets), "hardly a queue was removed"


async def test_calls_in_a_queue_that_was_not_used_for_long_are_found(
    start: Start, queues: Queues
) -> None:
    async with start(aliases=()) as gone:
        assert await queues.move(gone, bucket_named("long ago"), b"1")
        await asyncio.sleep(1)
        async with start(idle=1) as process:
            await process.takes(1)
