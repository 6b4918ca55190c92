from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from lark_service_client import (
    ConnectionLost,
    LarkClient,
    LarkError,
    NotConfirmed,
    NotConnected,
    Outcome,
    Reply,
)

from sandbox.stack import Stack
from schemas import names
from tests.support.proxy import Proxy
from tests.support.standin import Taken, answering, success
from tests.support.waiting import eventually

MESSAGES = "/open-apis/im/v1/messages"
DEFAULT = names.calls_queue("default", "interactive")


async def test_a_read_in_flight_is_resent_under_its_id_and_answered(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with (
        answering(broker, DEFAULT, answer=lambda _: None) as gateway,
        LarkClient(network_url) as lark,
    ):
        call = asyncio.create_task(lark.call("GET", MESSAGES, call_id="read-1"))
        await eventually(lambda: gateway.call_ids == ["read-1"])
        gateway.answer = success
        network.cut()

        reply = await call

    assert reply.ok
    assert gateway.call_ids == ["read-1", "read-1"]
    first, second = (taken.headers[names.HEADER_DEADLINE] for taken in gateway.taken)
    assert first == second, "a resend has no more time than the call had"


async def test_a_call_that_could_be_executed_twice_is_not_resent(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with (
        answering(broker, DEFAULT, answer=lambda _: None) as gateway,
        LarkClient(network_url) as lark,
    ):
        call = asyncio.create_task(lark.call("POST", MESSAGES, body={}, call_id="send-1"))
        await eventually(lambda: gateway.call_ids == ["send-1"])
        network.cut()

        with pytest.raises(ConnectionLost) as raised:
            await call
        gateway.answer = success
        assert (await lark.call("GET", MESSAGES, call_id="next")).ok

    assert gateway.call_ids == ["send-1", "next"]
    assert raised.value.call_id == "send-1"
    assert (raised.value.outcome, raised.value.retryable) == (Outcome.UNKNOWN, False)


@pytest.mark.parametrize(
    ("resend", "options", "times"),
    [
        ("always", {"method": "POST", "body": {}}, 2),
        ("always", {"method": "POST", "body": {}, "retry": "never"}, 1),
        ("safe", {"method": "POST", "body": {}, "retry": "always"}, 2),
        ("never", {"method": "GET"}, 1),
    ],
    ids=["always", "always but retry=never", "safe with retry=always", "never"],
)
async def test_who_wants_it_otherwise_says_so(
    broker: str,
    network: Proxy,
    network_url: str,
    resend: Any,
    options: dict[str, Any],
    times: int,
) -> None:
    async with (
        answering(broker, DEFAULT, answer=lambda _: None) as gateway,
        LarkClient(network_url, resend=resend) as lark,
    ):
        call = asyncio.create_task(lark.call(path=MESSAGES, **options))
        await eventually(lambda: len(gateway.taken) == 1)
        gateway.answer = success
        network.cut()
        await asyncio.gather(call, return_exceptions=True)

    assert len(gateway.taken) == times
    assert len(set(gateway.call_ids)) == 1
    assert isinstance(call.exception(), ConnectionLost) == (times == 1)


async def test_a_thousand_calls_on_a_network_that_keeps_breaking_all_end_and_none_is_sent_twice(
    broker: str, network: Proxy, network_url: str
) -> None:
    async def one(lark: LarkClient, number: int) -> Reply | LarkError:
        try:
            return await lark.call("POST", MESSAGES, body={}, call_id=f"c{number}", timeout=5)
        except LarkError as error:
            return error

    async def breaking() -> None:
        while True:
            await asyncio.sleep(0.15)
            network.cut()

    async with answering(broker, DEFAULT) as gateway, LarkClient(network_url) as lark:
        breaker = asyncio.create_task(breaking())
        started = time.monotonic()
        ends = [
            end
            for batch in range(5)
            for end in await asyncio.gather(
                *(one(lark, number) for number in range(batch * 200, batch * 200 + 200))
            )
        ]
        took = time.monotonic() - started
        breaker.cancel()
        assert (await lark.call("GET", MESSAGES)).ok
        assert lark.waiting == 0

    assert len(ends) == 1000
    assert any(isinstance(end, Reply) for end in ends)
    assert any(isinstance(end, ConnectionLost) for end in ends)
    assert took < 5 * 8
    assert max(Counter(gateway.call_ids).values()) == 1
    for end in ends:
        if isinstance(end, LarkError) and end.outcome == Outcome.NOT_EXECUTED:
            assert end.call_id not in gateway.call_ids


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


async def test_calls_survive_a_restart_of_the_broker(broker: str, idle_stack: Stack) -> None:
    if idle_stack.is_given("rabbitmq"):
        pytest.skip("RABBITMQ_URL names a broker that is not ours to restart")
    async with LarkClient(broker) as lark:
        read = asyncio.create_task(lark.call("GET", MESSAGES, call_id="read", timeout=60))
        sent = asyncio.create_task(lark.call("POST", MESSAGES, call_id="sent", timeout=60))
        await eventually(lambda: lark.waiting == 2)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(idle_stack.rabbitmq.restart)
        taken: list[Taken] = []
        async with answering(broker, DEFAULT) as gateway:
            assert (await read).ok
            with pytest.raises(ConnectionLost):
                await sent
            assert (await lark.call("POST", MESSAGES, body={})).ok
            taken += gateway.taken

    assert "sent" in [one.call_id for one in taken], "what was confirmed is executed all the same"
