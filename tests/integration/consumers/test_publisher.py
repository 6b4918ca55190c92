"""What RabbitMQ makes of a publish, and what the publisher says of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiormq import Channel

from consumers.connection import open_channel, open_connection
from consumers.publisher import CHANNELS, Published, Publisher
from gateway.metrics import Metrics
from tests.support.waiting import eventually


@pytest.fixture
async def publisher(rabbitmq_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(rabbitmq_url, Metrics())
    task = asyncio.create_task(publisher.run())
    await eventually(lambda: publisher.ready)
    yield publisher
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[Channel]:
    """A channel of somebody else, with the queues `open` and `full`."""
    connection = await open_connection(rabbitmq_url, "test")
    channel = await open_channel(connection, confirms=True)
    await channel.queue_declare("open", exclusive=True)
    nothing = {"x-max-length": 0, "x-overflow": "reject-publish"}
    await channel.queue_declare("full", exclusive=True, arguments=nothing)
    yield channel
    await connection.close()


async def publish(publisher: Publisher, queue: str, **how: Any) -> Published:
    return await publisher.publish("", queue, b"x", mandatory=True, **how)


async def test_what_a_queue_took_is_confirmed_and_persistent(
    publisher: Publisher, channel: Channel
) -> None:
    assert await publish(publisher, "open", correlation_id="c") is Published.CONFIRMED
    got = await channel.basic_get("open", no_ack=True)
    properties = got.header.properties
    assert (got.body, properties.delivery_mode, properties.correlation_id) == (b"x", 2, "c")
    assert properties.message_id


async def test_what_leads_nowhere_is_returned(publisher: Publisher) -> None:
    assert await publish(publisher, "nowhere") is Published.RETURNED


async def test_what_a_queue_refused_is_nacked(publisher: Publisher, channel: Channel) -> None:
    assert await publish(publisher, "full") is Published.NACKED
    final = await publisher.until_confirmed("", "full", b"x", mandatory=True, nack_is_final=True)
    assert final is Published.NACKED


async def test_what_is_nacked_is_published_again_until_there_is_room(
    publisher: Publisher, channel: Channel
) -> None:
    one = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await channel.queue_declare("narrow", exclusive=True, arguments=one)
    assert await publish(publisher, "narrow") is Published.CONFIRMED
    again = asyncio.create_task(publisher.until_confirmed("", "narrow", b"y", mandatory=True))
    await eventually(lambda: publisher._metrics[Published.NACKED]._value.get() > 1)
    assert not again.done()
    await channel.basic_get("narrow", no_ack=True)
    assert await again is Published.CONFIRMED
    assert (await channel.basic_get("narrow", no_ack=True)).body == b"y"


async def test_an_exchange_that_is_not_there_leaves_the_outcome_open_and_costs_no_channel(
    publisher: Publisher, channel: Channel
) -> None:
    outcome = await publisher.publish("no.exchange", "x", b"x", mandatory=True)
    assert outcome is Published.UNKNOWN
    await eventually(lambda: len(publisher._channels) == CHANNELS)
    for _ in range(2 * CHANNELS):
        assert await publish(publisher, "open") is Published.CONFIRMED


async def test_a_message_that_amqp_cannot_hold_is_a_defect_and_not_tried_again(
    publisher: Publisher, channel: Channel
) -> None:
    before = list(publisher._channels)
    for headers in ({"x": object()}, {"x": 2**70}, {"x" * 300: 1}):
        with pytest.raises(Exception, match=r"Unknown type|Unsupported|ubyte|format"):
            await publisher.until_confirmed("", "open", b"x", mandatory=True, headers=headers)
    assert publisher._channels == before
    for _ in range(CHANNELS):
        assert await publish(publisher, "open") is Published.CONFIRMED
