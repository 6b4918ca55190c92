"""What the broker itself refuses, on a vhost without the gateway's exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from lark_service_client import LarkClient, NotConfirmed, Outcome, Unroutable

from schemas import names
from tests.support.proxy import proxied
from tests.support.waiting import eventually

MESSAGES = "/open-apis/im/v1/messages"


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[AbstractChannel]:
    """A channel on the vhost, from which the gateway's exchange is gone before and after."""
    connection = await aiormq.connect(rabbitmq_url)
    channel = await connection.channel()
    await channel.exchange_delete(names.CALLS_EXCHANGE)
    yield channel
    await channel.exchange_delete(names.CALLS_EXCHANGE)
    await connection.close()


async def test_without_the_gateways_exchange_a_call_is_refused_with_the_brokers_words(
    rabbitmq_url: str, channel: AbstractChannel
) -> None:
    async with LarkClient(rabbitmq_url) as lark:
        with pytest.raises(NotConfirmed, match=r"no exchange 'lark\.calls'"):
            await lark.call("GET", MESSAGES)


async def test_a_refused_publish_leaves_no_connection_behind(
    rabbitmq_url: str, channel: AbstractChannel
) -> None:
    address = urlsplit(rabbitmq_url)
    async with proxied(str(address.hostname), address.port or 5672) as network:
        netloc = f"{address.username}:{address.password}@127.0.0.1:{network.port}"
        async with LarkClient(address._replace(netloc=netloc).geturl()) as lark:
            for _ in range(3):
                with pytest.raises(NotConfirmed):
                    await lark.call("GET", MESSAGES)
            await eventually(lambda: lark.connected)
            assert network.accepted >= 3
            await eventually(lambda: network.connections == 1)
        await eventually(lambda: network.connections == 0)


async def test_an_exchange_without_its_alternate_returns_the_call_as_unroutable(
    rabbitmq_url: str, channel: AbstractChannel
) -> None:
    await channel.exchange_declare(names.CALLS_EXCHANGE, exchange_type="topic", durable=True)
    async with LarkClient(rabbitmq_url) as lark:
        ends = await asyncio.gather(
            *(lark.publish("POST", MESSAGES, body={}, app=f"app-{n}") for n in range(20)),
            return_exceptions=True,
        )

    assert all(isinstance(end, Unroutable) for end in ends)
    assert {str(end).split(" (")[0] for end in ends} == {
        f"no queue takes app-{n}.bulk" for n in range(20)
    }
    assert all(isinstance(end, Unroutable) and end.outcome == Outcome.NOT_EXECUTED for end in ends)


async def test_a_user_id_that_is_not_the_login_is_refused_and_the_client_lives_on(
    rabbitmq_url: str, channel: AbstractChannel
) -> None:
    await channel.exchange_declare(names.CALLS_EXCHANGE, exchange_type="topic", durable=True)
    async with LarkClient(rabbitmq_url, user="somebody") as lark:
        for _ in range(2):
            with pytest.raises(NotConfirmed, match="user_id"):
                await lark.publish("POST", MESSAGES, body={})
