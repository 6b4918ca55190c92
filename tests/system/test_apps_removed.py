"""A removed app loses no call: each is answered, wherever it waits, before the queues go."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from consumers.connection import open_channel, open_connection
from consumers.overflow_channel import OverflowChannel
from gateway.database import Database
from sandbox.feishu import SandboxFeishu
from schemas import names
from tests.support.amqp import Exactly, Message
from tests.support.apps import SECRET_KEY, Registry
from tests.support.calls import READ, change, read
from tests.support.gateway import Gateway, SetLimits, api_requests
from tests.support.judging import assert_error
from tests.support.producer import Producer
from tests.support.waiting import eventually

RUNGS = (1, 15)
"""The first comes back while the queues are emptied, the second when they are gone."""


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    limits = set_limits({f"GET {READ}": "2/1"})
    return gateway_environment | limits | {"LARK_SERVICE_SECRET_KEY": SECRET_KEY}


@pytest.fixture
async def registry(
    gateway: Gateway, producer: Producer, database_url: str, simulated: SandboxFeishu
) -> AsyncIterator[Registry]:
    database = Database(database_url)
    yield Registry(database, simulated)
    await database.close()


@pytest.fixture
async def broker(rabbitmq_url: str) -> AsyncIterator[OverflowChannel]:
    connection = await open_connection(rabbitmq_url, "test")
    channel = OverflowChannel()
    channel.attach(connection)
    yield channel
    await connection.close()


async def start(producer: Producer, body: dict[str, Any], alias: str, seconds: float = 90) -> str:
    """Publish a call in the bulk lane; returns its correlation id."""
    correlation_id = f"call-{secrets.token_hex(8)}"
    await producer.send(
        body,
        routing_key=f"{alias}.bulk",
        message_id=correlation_id,
        correlation_id=correlation_id,
        reply_to=names.DIRECT_REPLY_TO,
        headers={names.HEADER_DEADLINE: int((time.time() + seconds) * 1000)},
    )
    return correlation_id


async def purged(registry: Registry, alias: str, broker: OverflowChannel) -> None:
    """Wait until neither the row nor the queues are there."""
    async with asyncio.timeout(30):
        while True:
            if not await registry.has(alias):
                break
            await asyncio.sleep(0.1)
    for queue in (
        *(names.calls_queue(alias, lane) for lane in names.LANES),
        names.retry_queue(alias),
    ):
        assert await broker.look(queue) is None


async def served(producer: Producer, alias: str) -> Message:
    """The reply of the first call that is not unrouted: the app is known by then."""
    async with asyncio.timeout(10):
        while True:
            reply = await producer.call(change(), routing_key=f"{alias}.bulk")
            if reply.json["ok"]:
                return reply
            assert reply.error["type"] == "unrouted"


async def test_an_app_is_served_soon_after_it_was_added_and_until_it_is_removed(
    producer: Producer, registry: Registry, broker: OverflowChannel
) -> None:
    await registry.add("brief")
    reply = await served(producer, "brief")
    assert reply.json["meta"]["app"] == "brief"
    await registry.remove("brief")
    async with asyncio.timeout(10):
        while True:
            reply = await producer.call(change(), routing_key="brief.bulk")
            if not reply.json["ok"]:
                break
    assert_error(reply, "unrouted", "not_executed", retryable=False)
    await purged(registry, "brief", broker)
    reply = await producer.call(change(), routing_key="brief.bulk")
    assert_error(reply, "unrouted", "not_executed", retryable=False)
    await registry.add("brief")
    assert (await served(producer, "brief")).json["meta"]["app"] == "brief"


async def test_calls_in_line_in_overflow_queues_and_on_rungs_are_all_answered(
    producer: Producer, registry: Registry, simulated: SandboxFeishu
) -> None:
    await registry.add("going")
    await served(producer, "going")
    since = simulated.world.ledger.last_number
    ids = [await start(producer, read(), "going") for _ in range(120)]
    await eventually(lambda: len(api_requests(simulated, since)) > 1)
    await registry.remove("going")
    replies = await asyncio.gather(*(producer.reply_of(each, within=30) for each in ids))
    refused = [reply for reply in replies if not reply.json["ok"]]
    assert len(refused) > 80
    for reply in refused:
        assert_error(reply, "unrouted", "not_executed", retryable=False)
        letter = await producer.letter_of(reply.properties.correlation_id or "")
        assert letter.headers[names.HEADER_DEAD_REASON] == "unrouted"


async def test_a_call_on_a_rung_when_the_queues_go_is_unrouted_when_it_comes_back(
    producer: Producer, registry: Registry, broker: OverflowChannel, rabbitmq_url: str
) -> None:
    await registry.add("later")
    await served(producer, "later")
    connection = await open_connection(rabbitmq_url, "test")
    channel = await open_channel(connection, confirms=True)
    for seconds in RUNGS:
        await channel.basic_publish(
            b"{}",
            exchange=names.rung(seconds),
            routing_key="later.bulk",
            properties=Exactly(message_id="c", correlation_id=f"rung of {seconds} s"),
        )
    await registry.remove("later")
    await purged(registry, "later", broker)
    for seconds in RUNGS:
        letter = await producer.letter_of(f"rung of {seconds} s", within=30)
        assert letter.headers[names.HEADER_DEAD_REASON] == "unrouted"
    await connection.close()
