"""The reply: its five keys, its properties, and what it says of a call that was answered."""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest

from sandbox.feishu import SandboxFeishu
from schemas import names
from tests.support.calls import invite, read, send
from tests.support.gateway import Gateway, api_requests
from tests.support.producer import Producer
from tests.support.waiting import eventually

KEYS = {"ok", "call_id", "response", "error", "meta"}
TIMES = {"queue_ms", "limit_wait_ms", "upstream_ms", "total_ms"}
TRACE = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
}


@pytest.fixture(scope="module")
def gateway_environment(gateway_environment: dict[str, str]) -> dict[str, str]:
    return gateway_environment | {"LARK_SERVICE_PREFETCH": "8"}


async def test_a_success_is_answered_with_feishus_own_words(producer: Producer) -> None:
    began = time.time()
    reply = await producer.call(send("oc_reply"), message_id="order-4711")
    document = reply.json
    assert set(document) == KEYS
    assert document["ok"] is True
    assert document["call_id"] == "order-4711"
    assert document["error"] is None
    response = document["response"]
    assert response["status"] == 200
    assert set(response) == {"status", "headers", "body"}
    assert response["body"]["code"] == 0
    assert response["body"]["data"]["chat_id"] == "oc_reply"
    meta = document["meta"]
    assert set(meta) == {"app", "api", "attempts", "duplicate", "log_id", *TIMES}
    assert meta["app"] == "default"
    assert meta["api"] == "POST /open-apis/im/v1/messages"
    assert meta["attempts"] == 1
    assert meta["duplicate"] is False
    assert meta["log_id"] == response["headers"]["x-tt-logid"]
    assert all(type(meta[name]) is int and meta[name] >= 0 for name in TIMES)
    assert meta["upstream_ms"] <= meta["total_ms"] <= (time.time() - began) * 1000 + 1


async def test_a_failure_is_answered_with_feishus_answer_and_what_it_means(
    producer: Producer,
) -> None:
    document = (await producer.call(read("sim_permission"))).json
    assert set(document) == KEYS
    assert document["ok"] is False
    error = document["error"]
    assert error["type"] == "permission_denied"
    assert error["retryable"] is False
    assert error["outcome"] == "not_executed"
    assert error["code"] == 99991672
    assert error["log_id"] == document["meta"]["log_id"]
    assert document["response"]["status"] == 400
    assert document["response"]["body"]["error"]["permission_violations"]
    assert document["meta"]["attempts"] == 1


async def test_the_properties_of_a_reply(producer: Producer) -> None:
    reply = await producer.call(
        read(), message_id="call-1", correlation_id="any thing", headers=TRACE | {"other": 1}
    )
    properties = reply.properties
    assert reply.exchange == ""
    assert properties.correlation_id == "any thing"
    assert properties.content_type == "application/json"
    assert properties.message_type == "lark.reply.v1"
    assert properties.delivery_mode == 2
    assert properties.message_id not in (None, "", "call-1")
    assert properties.reply_to is None
    assert reply.headers == {"lark-call-id": "call-1", "lark-status": "ok", **TRACE}


async def test_the_properties_of_a_refusal(producer: Producer) -> None:
    reply = await producer.call(b"", message_id="call-2", headers=TRACE)
    assert reply.headers == {"lark-call-id": "call-2", "lark-status": "error", **TRACE}
    assert reply.properties.message_type == "lark.reply.v1"
    assert reply.properties.content_type == "application/json"
    assert reply.properties.delivery_mode == 2
    assert reply.properties.message_id


async def test_every_reply_has_a_message_id_of_its_own(producer: Producer) -> None:
    replies = [await producer.call(read(), message_id="the same") for _ in range(3)]
    assert len({reply.properties.message_id for reply in replies}) == 3


async def test_without_a_correlation_id_the_reply_has_none(producer: Producer) -> None:
    before = len(producer.replies)
    await producer.send(read(), reply_to=names.DIRECT_REPLY_TO, message_id="uncorrelated")
    await eventually(lambda: len(producer.replies) > before)
    assert producer.replies[-1].properties.correlation_id is None
    assert producer.replies[-1].json["call_id"] == "uncorrelated"


@pytest.mark.parametrize("given", ["x" * 255, "a\r\nb", "\0", "${jndi:ldap://x}", "关联"])
async def test_a_correlation_id_is_echoed_as_it_is(given: str, producer: Producer) -> None:
    reply = await producer.call(read(), correlation_id=given)
    assert reply.properties.correlation_id == given


async def test_without_a_call_id_one_is_made_up_for_the_delivery(producer: Producer) -> None:
    first = await producer.call(read(), message_id=None)
    second = await producer.call(read(), message_id=None)
    assert first.json["ok"]
    assert first.json["call_id"] == first.headers["lark-call-id"] != second.json["call_id"]
    assert names.CALL_ID.fullmatch(first.json["call_id"])


async def test_the_header_names_the_call_before_the_message_id_does(producer: Producer) -> None:
    reply = await producer.call(read(), message_id="m-1", headers={"lark-call-id": "h-1"})
    assert reply.json["call_id"] == reply.headers["lark-call-id"] == "h-1"


@pytest.mark.parametrize(
    "properties",
    [{"message_id": "a b"}, {"message_id": "good", "headers": {"lark-call-id": "a b"}}],
)
async def test_an_unusable_call_id_is_null_in_the_reply(
    properties: dict[str, Any], producer: Producer
) -> None:
    reply = await producer.call(read(), **properties)
    assert reply.json["call_id"] is None
    assert "lark-call-id" not in reply.headers


@pytest.mark.parametrize("name", ["lark.reply.shop-1", "amq_shop", "lark.reply..", "server-named"])
async def test_a_reply_queue_gets_its_replies(name: str, producer: Producer) -> None:
    queue = await producer.reply_queue("" if name == "server-named" else name)
    assert queue == name or queue.startswith("amq.gen-")
    reply = await producer.call(read(), reply_to=queue)
    assert reply.json["ok"]
    assert reply.routing_key == queue


@pytest.mark.parametrize(
    "address", ["lark.reply.gone", "amq.gen-gone", "lark.reply.没有", "amq.rabbitmq.reply-to.x"]
)
async def test_a_reply_that_nobody_waits_for_stops_nothing(
    address: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    before = simulated.world.ledger.last_number
    await producer.send(invite(), reply_to=address, message_id=secrets.token_hex(4))
    await eventually(lambda: simulated.world.ledger.last_number > before)
    assert (await producer.call(read())).json["ok"]
    assert not producer.letters_about(address)


@pytest.mark.parametrize("address", [None, ""])
async def test_without_a_reply_address_a_success_is_carried_out_in_silence(
    address: str | None, producer: Producer, simulated: SandboxFeishu
) -> None:
    before, replies, letters = (
        simulated.world.ledger.last_number,
        len(producer.replies),
        len(producer.letters),
    )
    silent = {"correlation_id": "silent", "message_id": secrets.token_hex(4)}
    await producer.send(invite(), reply_to=address, **silent)
    await eventually(lambda: simulated.world.ledger.last_number > before)
    assert (await producer.call(read())).json["ok"]
    assert len(producer.replies) == replies + 1
    assert len(producer.letters) == letters


async def test_a_reply_queue_that_is_full_stops_nobody_else(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    full = await producer.reply_queue("lark.reply.full", **{"x-max-length": 0})
    before = simulated.world.ledger.last_number
    for _ in range(40):
        await producer.send(read(), reply_to=full)
    assert (await producer.call(read())).json["ok"]
    assert len(api_requests(simulated, before)) == 41


@pytest.mark.parametrize("token", ["a.b", "g1h2.x==", "g1h2AA5yZXBseUAxMjM0NTY3OAAA.k"])
async def test_a_direct_reply_address_that_rabbitmq_did_not_issue_stops_nobody_for_long(
    token: str, gateway: Gateway, producer: Producer
) -> None:
    def lost() -> int:
        return len(gateway.events("connection to RabbitMQ lost"))

    before, call_id = lost(), secrets.token_hex(4)
    await producer.send(read(), reply_to=f"{names.DIRECT_REPLY_TO}.{token}", message_id=call_id)
    await eventually(lambda: call_id in given_up(gateway))
    assert (await producer.call(read())).json["ok"]
    assert 0 < lost() - before <= 4


def given_up(gateway: Gateway) -> list[str]:
    return [event["call_id"] for event in gateway.events("a reply was given up")]
