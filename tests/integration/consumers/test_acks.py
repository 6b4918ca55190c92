"""What RabbitMQ still holds after a channel's deliveries were settled, in whatever order."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest
from aiormq import Channel
from aiormq.abc import DeliveredMessage

from consumers.acks import MOST, PAUSE_SECONDS, Acks
from consumers.connection import open_channel, open_connection
from tests.support.waiting import eventually

QUEUE = "acks"
PREFETCH = 200
A_WHILE = 20 * PAUSE_SECONDS


@dataclass
class Held:
    """A consumer that only takes: the tags and bodies in hand, in the order of delivery."""

    channel: Channel
    acks: Acks
    bodies: dict[int, bytes] = field(default_factory=dict)

    async def take(self, message: DeliveredMessage) -> None:
        assert message.delivery_tag is not None
        self.bodies[message.delivery_tag] = message.body

    async def holds(self, count: int) -> list[int]:
        await eventually(lambda: len(self.bodies) == count)
        return list(self.bodies)


@pytest.fixture
async def publishing(rabbitmq_url: str) -> AsyncIterator[Channel]:
    """A channel with an empty queue."""
    connection = await open_connection(rabbitmq_url, "test")
    channel = await open_channel(connection, confirms=True)
    await channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    yield channel
    await channel.queue_delete(QUEUE)
    await connection.close()


@pytest.fixture
async def held(rabbitmq_url: str, publishing: Channel) -> AsyncIterator[Held]:
    """A consumer of that queue."""
    connection = await open_connection(rabbitmq_url, "test")
    channel = await open_channel(connection, confirms=False)
    held = Held(channel, Acks(channel, prefetch=PREFETCH))
    await channel.basic_qos(prefetch_count=PREFETCH)
    await channel.basic_consume(QUEUE, held.take)
    yield held
    held.acks.close()
    await connection.close()


async def publish(channel: Channel, count: int) -> None:
    await asyncio.gather(
        *(channel.basic_publish(str(n).encode(), routing_key=QUEUE) for n in range(count))
    )


async def left(channel: Channel) -> int:
    """How many messages wait in the queue."""
    declared = await channel.queue_declare(QUEUE, passive=True)
    return declared.message_count or 0


async def given_up(held: Held, publishing: Channel) -> int:
    """How many messages are not acked: they are back when the consumer's connection is gone."""
    assert not held.channel.is_closed
    await held.channel.connection.close()
    await asyncio.sleep(A_WHILE)
    return await left(publishing)


def finish(acks: Acks, tags: Iterable[int]) -> None:
    for tag in tags:
        acks.ack(tag)


async def test_what_has_ended_is_acked_after_a_pause(held: Held, publishing: Channel) -> None:
    await publish(publishing, 5)
    finish(held.acks, await held.holds(5))

    await asyncio.sleep(A_WHILE)

    assert await given_up(held, publishing) == 0


async def test_many_that_end_together_are_acked_without_a_pause(
    held: Held, publishing: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.acks.PAUSE_SECONDS", 3600)
    await publish(publishing, 2 * MOST)
    finish(held.acks, await held.holds(2 * MOST))

    await asyncio.sleep(A_WHILE)

    assert await given_up(held, publishing) == 0


async def test_a_slow_delivery_stays_unacked_and_holds_back_no_other(
    held: Held, publishing: Channel
) -> None:
    await publish(publishing, 10)
    slow, *others = await held.holds(10)
    finish(held.acks, others)

    await asyncio.sleep(A_WHILE)

    assert await given_up(held, publishing) == 1
    assert held.bodies[slow] == b"0"


async def test_a_slow_delivery_is_acked_once_it_ends_though_later_ones_were_acked_before(
    held: Held, publishing: Channel
) -> None:
    await publish(publishing, 10)
    slow, *others = await held.holds(10)
    finish(held.acks, others)
    await asyncio.sleep(A_WHILE)

    held.acks.ack(slow)
    await asyncio.sleep(A_WHILE)

    assert await given_up(held, publishing) == 0


async def test_a_slow_delivery_that_ends_meanwhile_is_acked_with_those_that_waited_for_it(
    held: Held, publishing: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.acks.PAUSE_SECONDS", 0.3)
    await publish(publishing, 10)
    slow, *others = await held.holds(10)
    finish(held.acks, others)
    await asyncio.sleep(0.45)

    held.acks.ack(slow)
    await asyncio.sleep(0.6)

    assert await given_up(held, publishing) == 0


async def test_what_is_given_back_is_delivered_again_whatever_is_acked_around_it(
    held: Held, publishing: Channel
) -> None:
    await publish(publishing, 10)
    tags = await held.holds(10)

    finish(held.acks, tags[:4])
    held.acks.give_back(tags[4])
    finish(held.acks, tags[5:])

    again = (await held.holds(11))[-1]
    assert held.bodies[again] == held.bodies[tags[4]]
    held.acks.ack(again)
    await asyncio.sleep(A_WHILE)
    assert await given_up(held, publishing) == 0


async def test_a_flush_before_the_connection_closes_leaves_nothing_unacked(
    held: Held, publishing: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.acks.PAUSE_SECONDS", 3600)
    await publish(publishing, 10)
    _, *others = await held.holds(10)
    finish(held.acks, others)

    await held.acks.flush(timeout=2)

    assert await given_up(held, publishing) == 1


async def test_a_prefetch_of_one_is_acked_at_once(
    held: Held, publishing: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.acks.PAUSE_SECONDS", 3600)
    acks = Acks(held.channel, prefetch=1)
    await publish(publishing, 1)
    finish(acks, await held.holds(1))

    await asyncio.sleep(A_WHILE)

    assert await given_up(held, publishing) == 0


async def test_any_order_of_ends_settles_every_delivery_once(
    held: Held, publishing: Channel
) -> None:
    draw = random.Random(4711)
    await publish(publishing, 2_000)
    settled = 0
    while settled < 2_000:
        await eventually(lambda: bool(held.bodies))
        for tag in draw.sample(list(held.bodies), k=draw.randint(1, len(held.bodies))):
            del held.bodies[tag]
            if draw.random() < 0.05:
                held.acks.give_back(tag)
            else:
                held.acks.ack(tag)
                settled += 1
        await asyncio.sleep(draw.choice((0, 0, PAUSE_SECONDS)))

    await held.acks.flush(timeout=2)

    assert not held.bodies
    assert await given_up(held, publishing) == 0


async def test_a_channel_that_is_gone_ends_nothing_but_the_acks(
    held: Held, publishing: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    await publish(publishing, 3)
    tags = await held.holds(3)
    await held.channel.connection.close()

    finish(held.acks, tags)
    held.acks.give_back(tags[0])
    await held.acks.flush(timeout=2)

    await asyncio.sleep(A_WHILE)
    assert await left(publishing) == 3
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]
