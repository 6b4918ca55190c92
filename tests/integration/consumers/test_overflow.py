"""What RabbitMQ holds of a call that was moved, and when a call cannot be moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from aiormq import Channel
from aiormq.abc import DeliveredMessage
from pamqp import commands as spec

from consumers import overflow
from consumers.connection import open_channel, open_connection
from gateway.limits.buckets import Bucket
from schemas import names
from tests.support.overflow import MovingProcess, bucket_named, moving_process, work_of
from tests.support.waiting import eventually

Start = Callable[..., AbstractAsyncContextManager[MovingProcess]]


@pytest.fixture
def start(rabbitmq_url: str, database_url: str) -> Start:
    return partial(moving_process, rabbitmq_url, database_url)


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[Channel]:
    connection = await open_connection(rabbitmq_url, "test")
    yield await open_channel(connection, confirms=False)
    await connection.close()


def queue_of(bucket: Bucket, lane: names.Lane = "bulk") -> str:
    return names.overflow_queue("default", lane, bucket.key)


async def move_all(process: MovingProcess, bucket: Bucket, bodies: list[bytes]) -> None:
    moves = (process.mover.move(work_of(body), bucket) for body in bodies)
    assert all(await asyncio.gather(*moves))


async def everything_in(channel: Channel, queue: str) -> list[DeliveredMessage]:
    found = []
    while isinstance(
        (got := await channel.basic_get(queue, no_ack=True)).delivery, spec.Basic.GetOk
    ):
        found.append(got)
    return found


async def test_moved_calls_lie_in_the_buckets_queue_in_their_order(
    start: Start, channel: Channel
) -> None:
    bucket, other = bucket_named("order"), bucket_named("order of others")
    bodies = [str(number).encode() for number in range(300)]
    async with start() as process:
        await asyncio.gather(
            move_all(process, bucket, bodies), move_all(process, other, [b"other"])
        )
        assert process.metric("calls_moved_total", bucket="POST /x", lane="bulk") == 301
    assert [got.body for got in await everything_in(channel, queue_of(bucket))] == bodies
    assert [got.body for got in await everything_in(channel, queue_of(other))] == [b"other"]


async def test_a_moved_call_keeps_what_it_was(start: Start, channel: Channel) -> None:
    bucket, before = bucket_named("kept"), time.time()
    work = work_of(
        b"body",
        lane="interactive",
        message_id="m",
        correlation_id="c",
        reply_to="lark.reply.x",
        user_id="shop",
        expiration="30000",
        headers={"tenant": "acme", "lark-moved-at": 5},
    )
    work.job.attempts, work.job.tries = 1, 2
    async with start() as process:
        assert await process.mover.move(work, bucket)
        assert process.backlog.depth("kept", "interactive") == 1
        assert process.backlog.holds("kept", "interactive", "shop")
    (got,) = await everything_in(channel, queue_of(bucket, "interactive"))
    properties, headers = got.header.properties, got.header.properties.headers or {}
    assert (got.exchange, got.routing_key) == ("lark.overflow", "default.interactive.more")
    assert properties.delivery_mode == 2
    assert (properties.message_id, properties.correlation_id) == ("m", "c")
    assert (properties.reply_to, properties.user_id) == ("lark.reply.x", None)
    assert 20_000 < int(properties.expiration or 0) <= 30_000
    assert before * 1000 <= headers.pop("lark-moved-at") <= time.time() * 1000 + 1  # type: ignore[operator]
    assert {name: headers[name] for name in headers if not name.startswith("x-")} == {
        "tenant": "acme",
        "lark-call-id": "m",
        "lark-not-after": int(work.job.deadline * 1000),
        "lark-first-seen": int(work.envelope.history.first_seen * 1000),
        "lark-attempts": 1,
        "lark-tries": 2,
        "lark-not-before": 0,
        "lark-origin-user": "shop",
        "lark-overflow": queue_of(bucket, "interactive"),
    }


async def test_a_queue_that_somebody_deleted_is_made_again_and_no_call_is_lost(
    start: Start, channel: Channel
) -> None:
    bucket = bucket_named("deleted")
    async with start() as process:
        await move_all(process, bucket, [b"lost with its queue"])
        await channel.queue_delete(queue_of(bucket))
        await move_all(process, bucket, [b"1", b"2", b"3"])
    found = {got.body for got in await everything_in(channel, queue_of(bucket))}
    assert found == {b"1", b"2", b"3"}


async def test_without_postgres_calls_are_moved_only_where_nobody_removes_the_queue(
    start: Start, channel: Channel
) -> None:
    bucket, moved = bucket_named("no postgres"), 1
    async with start(idle=2) as process:
        await move_all(process, bucket, [b"0"])
        await process.database.close()
        began = time.monotonic()
        assert not await process.mover.move(work_of(b"x"), bucket_named("unknown"))
        while await process.mover.move(work_of(str(moved).encode()), bucket):
            moved += 1
            assert time.monotonic() - began < 1.5
            await asyncio.sleep(0.02)
        assert time.monotonic() - began > 0.5
    assert len(await everything_in(channel, queue_of(bucket))) == moved


async def test_a_queue_that_takes_nothing_sends_the_call_elsewhere(
    start: Start, channel: Channel
) -> None:
    bucket = bucket_named("another queue")
    await channel.queue_declare(queue_of(bucket), exclusive=False, auto_delete=True)
    async with start() as process:
        assert not await process.mover.move(work_of(b"x"), bucket)


async def test_the_number_of_queues_is_bounded(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overflow, "MOST_QUEUES", 2)
    async with start() as process:
        for key, taken in (("many-1", True), ("many-2", True), ("many-3", False)):
            assert await process.mover.move(work_of(b"x"), bucket_named(key)) is taken
        assert await process.mover.move(work_of(b"x"), bucket_named("many-1"))


async def test_calls_that_the_broker_may_have_taken_are_moved_when_it_is_back(
    start: Start, channel: Channel
) -> None:
    bucket = bucket_named("cut off")
    async with start() as process:
        await move_all(process, bucket, [b"0"])
        moving = asyncio.create_task(move_all(process, bucket, [b"%d" % n for n in range(1, 200)]))
        await eventually(
            lambda: process.metric("calls_moved_total", bucket="POST /x", lane="bulk") > 20
        )
        connection = process.publisher._connection
        assert connection is not None
        await connection.close()
        await moving
    found = {got.body for got in await everything_in(channel, queue_of(bucket))}
    assert found == {b"%d" % n for n in range(200)}


async def test_whether_a_queue_is_empty_can_be_asked_without_taking_from_it(
    start: Start, channel: Channel
) -> None:
    bucket = bucket_named("empty or not")
    async with start() as process:
        await move_all(process, bucket, [b"1"])
        assert not await process.channel.is_empty(queue_of(bucket))
        assert [got.body for got in await everything_in(channel, queue_of(bucket))] == [b"1"]
        assert await process.channel.is_empty(queue_of(bucket))
