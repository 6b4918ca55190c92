from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import aiormq
import pytest
from aiormq import spec
from lark_service_client import (
    LarkClient,
    NotConfirmed,
)

from schemas import names

MESSAGES = "/open-apis/im/v1/messages"
DEFAULT = names.calls_queue("default", "interactive")
BULK = names.calls_queue("default", "bulk")


async def test_a_full_queue_refuses_at_once(broker: str, lark: LarkClient) -> None:
    connection = await aiormq.connect(broker)
    channel = await connection.channel()
    await channel.queue_declare(
        "full",
        durable=True,
        arguments={"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"},
    )
    await channel.queue_bind("full", names.CALLS_EXCHANGE, "full.interactive.#")

    async def fill() -> None:
        # The broker refuses a little after the limit is reached.
        for _ in range(50):
            await lark.publish("POST", MESSAGES, body={}, app="full", lane="interactive")

    started = time.monotonic()
    with pytest.raises(NotConfirmed, match="full"):
        await fill()
    with pytest.raises(NotConfirmed, match="full"):
        await lark.call("POST", MESSAGES, body={}, app="full")
    await connection.close()

    assert time.monotonic() - started < 5
    assert lark.waiting == 0


async def test_a_published_call_is_in_its_queue_when_publish_returns(
    broker: str, lark: LarkClient
) -> None:
    call_id = await lark.publish("POST", MESSAGES, body={"n": 1}, deadline=timedelta(hours=1))

    connection = await aiormq.connect(broker)
    message = await (await connection.channel()).basic_get(BULK, no_ack=True)
    await connection.close()
    properties = message.header.properties
    assert isinstance(message.delivery, spec.Basic.GetOk)
    assert json.loads(message.body)["body"] == {"n": 1}
    assert properties.message_id == call_id
    assert properties.reply_to is None
    assert properties.correlation_id is None
    assert (properties.headers or {})[names.HEADER_DEADLINE] == pytest.approx(
        (time.time() + 3600) * 1000, abs=5000
    )


async def test_a_published_call_may_have_a_deadline_in_time_zones_only(lark: LarkClient) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await lark.publish("POST", MESSAGES, body={}, deadline=datetime(2030, 1, 1))  # noqa: DTZ001

    assert await lark.publish("POST", MESSAGES, body={}, deadline=datetime(2030, 1, 1, tzinfo=UTC))
