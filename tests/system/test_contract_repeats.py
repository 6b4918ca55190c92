"""What is sent again, with which key, and what is not counted as an attempt."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.catalogue import derive_key
from sandbox.feishu import SandboxFeishu
from sandbox.feishu.faults import Rule
from tests.support.calls import SEND, change, invite, read, send
from tests.support.gateway import api_requests
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer


async def test_what_may_be_repeated_is_sent_until_its_attempts_are_spent(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    places = [unique("sim_500") for _ in range(4)]
    calls = [read(places[0]), change(places[1]), send(places[2])]
    calls.append(invite(places[3], retry="always"))
    for place, reply in zip(places, await asyncio.gather(*map(producer.call, calls)), strict=True):
        assert_error(reply, "feishu_unavailable", "unknown", retryable=True)
        assert reply.json["response"]["status"] == 500
        assert reply.json["meta"]["attempts"] == len(requests_of(simulated, place)) == 4
        assert not producer.letters_of(reply)


@pytest.mark.parametrize("magic", ["sim_500_then_ok", "sim_cut_then_ok", "sim_504_then_ok"])
async def test_a_failure_that_passes_is_not_noticed(
    magic: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    places = [unique(magic) for _ in range(4)]
    calls = [read(places[0]), change(places[1]), send(places[2])]
    calls.append(invite(places[3], retry="always"))
    for place, reply in zip(places, await asyncio.gather(*map(producer.call, calls)), strict=True):
        assert reply.json["ok"], reply.json
        assert reply.json["meta"]["attempts"] == len(requests_of(simulated, place)) == 2


async def test_a_limit_is_no_attempt(producer: Producer, simulated: SandboxFeishu) -> None:
    places = [unique("sim_chat_limited_once") for _ in range(4)]
    builds = zip((read, change, send, invite), places, strict=True)
    calls = [build(place, retry="never") for build, place in builds]
    for place, reply in zip(places, await asyncio.gather(*map(producer.call, calls)), strict=True):
        assert reply.json["ok"], reply.json
        assert reply.json["meta"]["attempts"] == 1
        assert len(requests_of(simulated, place)) == 2


@pytest.mark.parametrize("build", [read, change, send, invite])
async def test_a_rejected_token_is_no_attempt_and_not_noticed(
    build: Callable[..., dict[str, Any]], producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("sim_token_rejected_once")
    reply = await producer.call(build(place, retry="never"))
    assert reply.json["ok"], reply.json
    assert reply.json["meta"]["attempts"] == 1
    assert len(requests_of(simulated, place)) == 2


async def test_a_token_that_is_rejected_twice_is_feishus_error(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("sim_token_rejected")
    reply = await producer.call(invite(place))
    assert_error(reply, "feishu_error", "not_executed", retryable=False)
    assert reply.error["code"] == reply.json["response"]["body"]["code"] == 99991663
    assert reply.json["meta"]["attempts"] == 0
    assert len(requests_of(simulated, place)) <= 2


async def test_what_follows_an_attempt_that_may_have_been_executed_does_not_undo_it(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    # For a minute nothing more is sent to these two.
    full = {"status": 429, "code": 99991400, "headers": {"x-ogw-ratelimit-reset": "60"}}
    answer_to, card = f"{SEND}/:message_id/reply", f"{SEND}/:message_id"
    for template, faults in {
        answer_to: [{"status": 500}, {"status": 400, "code": 230020}, full],
        card: [{"status": 500}, full],
    }.items():
        for fault in faults:
            simulated.world.script.rules.append(Rule.parse(fault | {"template": template}))
    common = {"path_params": {"message_id": "om_1"}, "body": {}}
    calls = [
        {"method": "POST", "path": answer_to, **common},
        {"method": "PATCH", "path": card, **common},
    ]
    replies = await asyncio.gather(*(producer.call(call, expiration="10000") for call in calls))
    for reply in replies:
        assert_error(reply, "feishu_unavailable", "unknown", retryable=True)
        assert "earlier attempt" in reply.error["message"]
        assert reply.json["response"]["status"] == 429
        assert reply.json["meta"]["attempts"] == 1


async def test_a_call_that_was_put_off_and_fails_is_buried_as_it_came(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    template = "/open-apis/im/v1/chats/:chat_id/top_notice/put_top_notice"
    for fault in ({"status": 400, "code": 230020}, {"status": 400, "code": 12345}):
        simulated.world.script.rules.append(Rule.parse(fault | {"template": template}))
    began = time.time() * 1000
    await producer.send(
        {"method": "POST", "path": template, "path_params": {"chat_id": "oc_1"}, "body": {}},
        correlation_id="put off",
        message_id="m-1",
        headers={"lark-call-id": "h-1", "tenant": "acme"},
        routing_key="default.bulk.eu",
    )
    letter = await producer.letter_of("put off")
    headers = letter.headers
    assert headers.pop("lark-first-seen") < began + 1000
    assert json.loads(headers.pop("lark-dead-error"))["code"] == 12345
    assert letter.properties.message_id == "m-1"
    assert headers == {
        "tenant": "acme",
        "lark-call-id": "h-1",
        "lark-dead-reason": "failed",
        "lark-attempts": 1,
        "lark-origin-exchange": "lark.calls",
        "lark-origin-routing-key": "default.bulk.eu",
    }


async def test_every_attempt_of_a_k_call_carries_the_key_of_its_call_id(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    places = [unique("sim_504_then_ok") for _ in range(2)]
    replies = [await producer.call(send(place), message_id=f"k-{place}") for place in places]
    for place, reply in zip(places, replies, strict=True):
        assert reply.json["ok"]
        requests = requests_of(simulated, place)
        assert [entry["key"] for entry in requests] == [derive_key("default", f"k-{place}")] * 2
        assert simulated.world.ledger.effects[requests[0]["key"]] == 1


async def test_a_key_of_the_producers_own_is_kept(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("sim_500_then_ok")
    assert (await producer.call(send(place, uuid=f"own-{place}"))).json["ok"]
    keys = [entry["key"] for entry in requests_of(simulated, place)]
    assert keys == [f"own-{place}"] * 2


async def test_a_key_that_belongs_into_the_query_is_put_there(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    call = {"method": "POST", "path": "/open-apis/im/v1/chats", "body": {"name": "a"}}
    before = simulated.world.ledger.last_number
    assert (await producer.call(call, message_id="chat-1")).json["ok"]
    (entry,) = api_requests(simulated, before)
    assert entry["key"] == derive_key("default", "chat-1")


@pytest.mark.parametrize("body", [None, "text", ["a"]])
async def test_a_k_call_without_a_place_for_its_key_counts_as_n(
    body: Any, producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("sim_500")
    call = {"method": "POST", "path": SEND, "query": {"receive_id_type": place}, "body": body}
    reply = await producer.call(call)
    assert_error(reply, "outcome_unknown", "unknown", retryable=False)
    assert [entry["key"] for entry in requests_of(simulated, place)] == [""]
