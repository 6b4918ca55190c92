from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from lark_service_client import (
    FeishuError,
    InvalidCall,
    LarkClient,
    RateLimited,
    ReplyTimeout,
    UnreadableReply,
    Unroutable,
)

from schemas import names
from schemas.call import Call
from tests.support.standin import Taken, answering, calls_queues, failure, success
from tests.support.waiting import eventually

MESSAGES = "/open-apis/im/v1/messages"
DEFAULT = names.calls_queue("default", "interactive")
BULK = names.calls_queue("default", "bulk")


async def test_a_call_returns_what_feishu_answered(broker: str, lark: LarkClient) -> None:
    async with answering(broker, DEFAULT, answer=lambda taken: success(taken, {"id": "om_1"})):
        reply = await lark.call(
            "POST", MESSAGES, query={"receive_id_type": "chat_id"}, body={"a": 1}, call_id="c-1"
        )

    assert (reply.ok, reply.call_id, reply.data) == (True, "c-1", {"id": "om_1"})


async def test_the_message_is_what_the_contract_asks_for(broker: str, lark: LarkClient) -> None:
    async with answering(broker, DEFAULT) as gateway:
        before = time.time()
        await lark.call("POST", MESSAGES, body={}, call_id="c-2", traceparent="00-a-1", timeout=7)

    (taken,) = gateway.taken
    properties = taken.properties
    assert Call.model_validate(taken.call).path == MESSAGES
    assert properties.message_id == "c-2"
    assert properties.message_type == names.CALL_TYPE
    assert properties.content_type == names.CONTENT_TYPE
    assert properties.delivery_mode == 2
    assert properties.user_id == "lark"
    assert names.may_reply_to(str(properties.reply_to))
    assert 6000 < int(str(properties.expiration)) <= 7000
    assert taken.headers.pop(names.HEADER_DEADLINE) == pytest.approx((before + 7) * 1000, abs=500)
    assert taken.headers["traceparent"] == "00-a-1"


async def test_a_thousand_calls_at_once_get_their_own_answers(
    broker: str, lark: LarkClient
) -> None:
    held: list[Taken] = []
    async with answering(broker, DEFAULT, answer=lambda taken: held.append(taken)) as gateway:
        calls = [
            asyncio.create_task(
                lark.call("POST", MESSAGES, body={"n": n}, call_id=f"c-{n}", timeout=30)
            )
            for n in range(1000)
        ]
        await eventually(lambda: len(held) == 1000)
        random.shuffle(held)
        for taken in held:
            await gateway.reply(taken, success(taken, {"n": taken.call["body"]["n"]}))
        replies = await asyncio.gather(*calls)

    assert [reply.data["n"] for reply in replies] == list(range(1000))
    assert [reply.call_id for reply in replies] == [f"c-{n}" for n in range(1000)]
    assert lark.waiting == 0


async def test_an_error_reply_is_raised_as_its_type(broker: str, lark: LarkClient) -> None:
    def limited(taken: Taken) -> dict[str, Any]:
        return failure(taken, "rate_limited", retryable=True, retry_after_ms=1500)

    async with answering(broker, DEFAULT, answer=limited):
        with pytest.raises(RateLimited) as raised:
            await lark.call("POST", MESSAGES, body={}, call_id="c-3")

    assert raised.value.retry_after == 1.5
    assert raised.value.call_id == "c-3"
    assert raised.value.reply is not None


async def test_an_error_reply_is_returned_where_the_caller_wants_it(
    broker: str, lark: LarkClient
) -> None:
    async with answering(broker, DEFAULT, answer=lambda t: failure(t, "feishu_error", code=230002)):
        reply = await lark.call("POST", MESSAGES, body={}, raise_on_error=False)
        with pytest.raises(FeishuError):
            await lark.call("POST", MESSAGES, body={})

    assert not reply.ok
    assert reply.error is not None
    assert reply.error.code == 230002


async def test_a_call_goes_to_the_app_it_names(broker: str, lark: LarkClient) -> None:
    async with answering(broker, *calls_queues("default", "crm")) as gateway:
        await lark.call("GET", MESSAGES, app="crm")

    assert [taken.routing_key for taken in gateway.taken] == ["crm.interactive"]


async def test_a_call_for_an_app_nobody_knows_is_unroutable(broker: str, lark: LarkClient) -> None:
    async with answering(broker, names.UNROUTED, answer=lambda t: failure(t, "unrouted")):
        with pytest.raises(Unroutable):
            await lark.call("GET", MESSAGES, app="nobody")


async def test_a_call_outside_the_rules_never_reaches_the_broker(
    broker: str, lark: LarkClient
) -> None:
    async with answering(broker, DEFAULT) as gateway:
        with pytest.raises(InvalidCall):
            await lark.call("GET", "/elsewhere")
        await lark.call("GET", MESSAGES, call_id="after")

    assert gateway.call_ids == ["after"]


async def test_a_call_that_nobody_answers_ends_after_its_time_and_grace(
    broker: str, lark: LarkClient
) -> None:
    started = time.monotonic()
    async with answering(broker, DEFAULT, answer=lambda _: None):
        with pytest.raises(ReplyTimeout, match="gateway") as raised:
            await lark.call("GET", MESSAGES, timeout=0.2)

    assert 3.1 < time.monotonic() - started < 5
    assert raised.value.retryable, "a read does no harm twice"
    assert lark.waiting == 0


async def test_a_reply_just_after_the_timeout_still_counts(broker: str, lark: LarkClient) -> None:
    held: list[Taken] = []
    async with answering(broker, DEFAULT, answer=lambda taken: held.append(taken)) as gateway:
        call = asyncio.create_task(lark.call("GET", MESSAGES, timeout=0.3))
        await eventually(lambda: bool(held))
        await asyncio.sleep(0.5)
        await gateway.reply(held[0], failure(held[0], "deadline_exceeded"))
        with pytest.raises(Exception, match="deadline_exceeded"):
            await call


async def test_a_cancelled_call_leaves_nothing_and_its_late_reply_harms_nobody(
    broker: str, lark: LarkClient
) -> None:
    held: list[Taken] = []
    async with answering(broker, DEFAULT, answer=lambda taken: held.append(taken)) as gateway:
        calls = [asyncio.create_task(lark.call("GET", MESSAGES)) for _ in range(50)]
        await eventually(lambda: len(held) == 50)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert lark.waiting == 0

        gateway.answer = success
        for taken in held:
            await gateway.reply(taken, success(taken))
        assert (await lark.call("GET", MESSAGES, call_id="next")).call_id == "next"


async def test_a_call_cancelled_before_its_confirm_leaves_the_client_usable(
    broker: str, lark: LarkClient
) -> None:
    async with answering(broker, DEFAULT):
        for _ in range(20):
            calls = [asyncio.create_task(lark.call("GET", MESSAGES)) for _ in range(20)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(end) for end in ends} == {asyncio.CancelledError}

        assert (await lark.call("GET", MESSAGES)).ok
    assert lark.waiting == 0


async def test_a_reply_outside_the_contract_is_no_answer(broker: str, lark: LarkClient) -> None:
    async with answering(broker, DEFAULT, answer=lambda t: failure(t, "of_a_later_version")):
        with pytest.raises(UnreadableReply):
            await lark.call("GET", MESSAGES)


async def test_a_client_without_a_trusted_clock_tells_only_the_duration(broker: str) -> None:
    async with (
        answering(broker, DEFAULT) as gateway,
        LarkClient(broker, trust_clock=False) as lark,
    ):
        await lark.call("GET", MESSAGES, timeout=7)

    assert gateway.taken[0].headers == {}
    assert 6000 < int(str(gateway.taken[0].properties.expiration)) <= 7000
