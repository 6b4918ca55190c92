from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import pytest
from lark_service_client import (
    ConnectionLost,
    LarkClient,
    NotConfirmed,
    NotConnected,
    Outcome,
)

from schemas import names
from tests.support.proxy import Proxy
from tests.support.standin import answering
from tests.support.waiting import eventually

MESSAGES = "/open-apis/im/v1/messages"
DEFAULT = names.calls_queue("default", "interactive")


async def test_a_silent_broker_is_given_up_after_three_heartbeats(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with LarkClient(f"{network_url}?heartbeat=1") as lark:
        network.hold()
        started = time.monotonic()
        with pytest.raises(ConnectionLost):
            await lark.publish("POST", MESSAGES, body={}, timeout=30)

    assert time.monotonic() - started < 15


async def test_calls_made_while_the_connection_is_away_wait_for_it(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with answering(broker, DEFAULT), LarkClient(network_url) as lark:
        port = network.port
        await network.close()
        await eventually(lambda: not lark.connected)
        call = asyncio.create_task(lark.call("POST", MESSAGES, body={}, timeout=10))
        await asyncio.sleep(0.3)
        await network.open(port)

        assert (await call).ok


async def test_a_call_without_a_connection_in_its_time_was_not_sent(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with answering(broker, DEFAULT) as gateway, LarkClient(network_url) as lark:
        await network.close()
        await eventually(lambda: not lark.connected)
        started = time.monotonic()
        with pytest.raises(NotConnected) as raised:
            await lark.call("POST", MESSAGES, body={}, call_id="away", timeout=0.5)

    assert 0.4 < time.monotonic() - started < 2
    assert (raised.value.outcome, raised.value.retryable) == (Outcome.NOT_EXECUTED, True)
    assert raised.value.call_id == "away"
    assert gateway.taken == []


async def test_a_broker_that_takes_nothing_is_noticed_within_the_timeout(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with answering(broker, DEFAULT), LarkClient(network_url) as lark:
        network.hold()
        started = time.monotonic()
        with pytest.raises(NotConfirmed) as raised:
            await lark.publish("POST", MESSAGES, body={}, lane="interactive", timeout=0.5)
        with pytest.raises(NotConfirmed):
            await lark.call("POST", MESSAGES, body={}, timeout=0.5)
        assert time.monotonic() - started < 2
        assert raised.value.outcome == Outcome.UNKNOWN
        network.release()
        assert (await lark.call("GET", MESSAGES)).ok


async def test_a_client_closes_quickly_even_when_the_broker_is_silent(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with LarkClient(network_url) as lark:
        call = asyncio.create_task(lark.call("GET", MESSAGES, app="crm"))
        await eventually(lambda: lark.waiting == 1)
        network.hold()
        started = time.monotonic()

    assert time.monotonic() - started < 5
    with pytest.raises((ConnectionLost, NotConfirmed)):
        await call


async def test_a_call_on_a_closed_client_is_refused(broker: str) -> None:
    lark = LarkClient(broker)
    with pytest.raises(NotConnected, match="not open"):
        await lark.call("GET", MESSAGES)
    async with lark:
        pass
    assert not [task for task in asyncio.all_tasks() if "lark" in task.get_name()]
    with pytest.raises(NotConnected, match="not open"):
        await lark.call("GET", MESSAGES)


async def test_a_wrong_password_is_told_at_once(broker: str) -> None:
    address = urlsplit(broker)
    wrong = address._replace(netloc=f"lark:wrong@{address.hostname}:{address.port}").geturl()
    started = time.monotonic()

    with pytest.raises(NotConnected, match="refuses the login") as raised:
        await LarkClient(wrong).open()

    assert time.monotonic() - started < 5
    assert "wrong" not in str(raised.value)


async def test_a_virtual_host_that_does_not_exist_is_told(broker: str) -> None:
    nowhere = urlsplit(broker)._replace(path="/nowhere").geturl()

    with pytest.raises(NotConnected, match="virtual host"):
        await LarkClient(nowhere, connect_timeout=1).open()


async def test_no_broker_is_told_after_the_connect_timeout() -> None:
    started = time.monotonic()

    with pytest.raises(NotConnected, match="no connection"):
        await LarkClient("amqp://127.0.0.1:1", connect_timeout=0.5).open()

    assert time.monotonic() - started < 2
