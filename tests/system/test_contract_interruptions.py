"""What a producer sees of a process that stops, a full bucket and a Postgres that is away."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import pytest

from sandbox.feishu import SandboxFeishu
from sandbox.stack import Stack
from schemas import names
from tests.support.calls import invite, read
from tests.support.gateway import Gateway, SetLimits
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer
from tests.support.rows import Rows
from tests.support.waiting import eventually

SLOW_API = "POST /open-apis/im/v1/chats/:chat_id/link"


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    limits = set_limits({SLOW_API: "2/1"})
    return gateway_environment | limits | {"LARK_SERVICE_PREFETCH": "20"}


def slow_call(chat: str) -> dict[str, Any]:
    """Class N, two a second."""
    return {"method": "POST", "path": f"/open-apis/im/v1/chats/{chat}/link", "body": {}}


def begin(producer: Producer, places: list[str]) -> list[asyncio.Task[Any]]:
    return [
        asyncio.create_task(producer.call(slow_call(place), within=30, message_id=place))
        for place in places
    ]


async def test_a_process_that_is_told_to_stop_finishes_what_it_began(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("sim_slow_1s")
    waiting = asyncio.create_task(producer.call(invite(place)))
    await eventually(lambda: bool(requests_of(simulated, place)))
    assert await gateway.terminate() == 0
    assert (await waiting).json["ok"]
    await gateway.start()


async def test_calls_of_a_full_bucket_are_made_once_and_delay_nobody(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    places = [unique("oc") for _ in range(8)]
    waiting = begin(producer, places)
    await eventually(lambda: bool(requests_of(simulated, places[0])))
    began = time.monotonic()
    for _ in range(5):
        assert (await producer.call(read())).json["ok"]
    assert time.monotonic() - began < 1
    for place, reply in zip(places, await asyncio.gather(*waiting), strict=True):
        assert reply.json["ok"], reply.json
        assert reply.json["meta"]["attempts"] == 1
        assert len(requests_of(simulated, place)) == 1


async def test_calls_that_wait_for_a_slot_when_the_process_stops_are_made_once_by_the_next(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    places = [unique("oc") for _ in range(8)]
    waiting = begin(producer, places)
    await eventually(lambda: bool(requests_of(simulated, places[0])))
    began = time.monotonic()
    assert await gateway.terminate() == 0
    assert time.monotonic() - began < 1.5
    assert not all(requests_of(simulated, place) for place in places)
    await gateway.start()
    for place, reply in zip(places, await asyncio.gather(*waiting), strict=True):
        assert reply.json["ok"], reply.json
        assert len(requests_of(simulated, place)) == 1


async def test_without_postgres_replies_go_out_and_rows_follow(
    idle_stack: Stack, producer: Producer, rows: Rows
) -> None:
    if idle_stack.is_given("postgres"):
        pytest.skip("DATABASE_URL names a server that is not ours to stop")
    correlation_id = secrets.token_hex(8)
    await asyncio.to_thread(idle_stack.postgres.stop)
    try:
        assert (await producer.call(read())).json["ok"]
        reply = await producer.call(b"", within=1, correlation_id=correlation_id)
        assert reply.error["type"] == "invalid_call"
        again = await producer.call(b"", within=1)
        assert again.error["type"] == "invalid_call"
    finally:
        await asyncio.to_thread(idle_stack.postgres.start)
    (row,) = await rows.of(correlation_id, within=20)
    assert row["reason"] == "malformed"
    assert row["headers"][names.HEADER_DEAD_REASON] == "malformed"
    assert row["properties"]["correlation_id"] == correlation_id
    assert len(producer.letters_of(reply)) >= 1


async def test_calls_that_cannot_reach_feishu_were_not_executed(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    port = int(simulated.url.rpartition(":")[2])
    await simulated.stop()
    calls = [read(), invite(), invite(retry="never")]
    replies = await asyncio.gather(*map(producer.call, calls))
    await simulated.start(port=port)
    for reply in replies:
        assert_error(reply, "feishu_unavailable", "not_executed", retryable=True)
        assert reply.json["response"] is None
        assert reply.json["meta"]["attempts"] == 0
        assert not producer.letters_of(reply)
    assert (await producer.call(invite())).json["ok"]
