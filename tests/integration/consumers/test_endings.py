"""Dead letters while what leads to their queue is missing: none is lost, and each is told of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiormq import Channel

from consumers.connection import open_channel, open_connection
from consumers.endings import Endings
from consumers.patience import Patience
from consumers.publisher import Publisher
from gateway.metrics import Metrics
from gateway.redaction import Redactor
from tests.support.waiting import eventually

QUEUE = "letters"


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[Channel]:
    """A channel of somebody who mends what is missing, with a queue that nothing leads to."""
    connection = await open_connection(rabbitmq_url, "test")
    channel = await open_channel(connection, confirms=True)
    await channel.queue_declare(QUEUE, exclusive=True)
    yield channel
    await connection.close()


@pytest.mark.parametrize("missing", ["binding", "exchange"])
async def test_a_letter_that_leads_nowhere_is_published_until_it_leads_somewhere(
    missing: str, rabbitmq_url: str, channel: Channel
) -> None:
    metrics, exchange = Metrics(), f"no-{missing}"
    outcome = "returned" if missing == "binding" else "unknown"
    failed = metrics.publishes.labels(outcome)._value
    if missing == "binding":
        await channel.exchange_declare(exchange, exchange_type="fanout", auto_delete=True)
    publisher = Publisher(rabbitmq_url, metrics)
    running = asyncio.create_task(publisher.run())
    endings = Endings(publisher, Patience(1), metrics, Redactor())
    burying = asyncio.create_task(endings.send_on(exchange, "default.bulk", b"letter", {}))
    await eventually(lambda: failed.get() > 1)
    assert not burying.done()
    await channel.exchange_declare(exchange, exchange_type="fanout", auto_delete=True)
    await channel.queue_bind(QUEUE, exchange)
    await burying
    assert (await channel.basic_get(QUEUE, no_ack=True)).body == b"letter"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
