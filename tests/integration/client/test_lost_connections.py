from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from lark_service_client import (
    ConnectionLost,
    LarkClient,
    LarkError,
    NotConfirmed,
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
            await eventually(lambda: lark.waiting > 100)
            await asyncio.sleep(random.uniform(0, 0.1))
            network.cut()
            await eventually(lambda: not lark.connected)

    async with answering(broker, DEFAULT) as gateway, LarkClient(network_url) as lark:
        breaker = asyncio.create_task(breaking())
        ends = [
            end
            for batch in range(5)
            for end in await asyncio.gather(
                *(one(lark, number) for number in range(batch * 200, batch * 200 + 200))
            )
        ]
        breaker.cancel()
        assert (await lark.call("GET", MESSAGES)).ok
        assert lark.waiting == 0

    assert len(ends) == 1000
    assert any(isinstance(end, Reply) for end in ends)
    assert any(isinstance(end, ConnectionLost) for end in ends)
    assert max(Counter(gateway.call_ids).values()) == 1
    assert not [end for end in ends if isinstance(end, NotConfirmed)], "nothing waits in vain"


async def test_a_burst_that_the_connection_does_not_survive_waits_for_nothing(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with answering(broker, DEFAULT) as gateway, LarkClient(network_url) as lark:
        calls = [
            asyncio.create_task(lark.call("POST", MESSAGES, body={}, timeout=30))
            for _ in range(2000)
        ]
        await eventually(lambda: lark.waiting > 1000)
        network.cut()
        async with asyncio.timeout(25):
            ends = await asyncio.gather(*calls, return_exceptions=True)

    lost = [end for end in ends if isinstance(end, ConnectionLost)]
    answered = [end for end in ends if isinstance(end, Reply)]
    assert lost, "what was under way cannot be known"
    assert answered, "what was not yet written goes over the next connection"
    assert len(lost) + len(answered) == 2000
    assert max(Counter(gateway.call_ids).values()) == 1


async def test_a_call_whose_resend_finds_no_connection_may_have_been_executed(
    broker: str, network: Proxy, network_url: str
) -> None:
    async with (
        answering(broker, DEFAULT, answer=lambda _: None) as gateway,
        LarkClient(network_url) as lark,
    ):
        call = asyncio.create_task(lark.call("GET", MESSAGES, timeout=1))
        await eventually(lambda: len(gateway.taken) == 1)
        await network.close()
        with pytest.raises(ConnectionLost) as raised:
            await call

    assert (raised.value.outcome, raised.value.retryable) == (Outcome.UNKNOWN, True)


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
