"""No call outlives its deadline by more than a second, and none starts after it."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import pytest

from sandbox.feishu import SandboxFeishu
from schemas import names
from tests.support.calls import change, invite, read, send
from tests.support.gateway import SetLimits
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer

SLOW_API = "PATCH /open-apis/im/v1/chats/:chat_id/announcement"


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    return gateway_environment | set_limits({SLOW_API: "1/30"})


def deadline_in(seconds: float) -> dict[str, Any]:
    return {"headers": {names.HEADER_DEADLINE: int((time.time() + seconds) * 1000)}}


def expiring_in(seconds: float) -> dict[str, Any]:
    return {"expiration": str(int(seconds * 1000))}


def slow_call() -> dict[str, Any]:
    return {"method": "PATCH", "path": "/open-apis/im/v1/chats/oc_1/announcement", "body": {}}


async def test_an_attempt_that_outlasts_the_deadline_is_cut_within_a_second(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    places = [unique("sim_hang") for _ in range(6)]
    calls = [
        (read(places[0]), deadline_in(1), "timeout"),
        (change(places[1]), expiring_in(1), "timeout"),
        (send(places[2]), expiring_in(1) | deadline_in(30), "timeout"),
        (read(places[3]), expiring_in(30) | deadline_in(1), "timeout"),
        (invite(places[4]), deadline_in(1), "outcome_unknown"),
        (invite(places[5], retry="always"), deadline_in(1), "timeout"),
    ]
    began = time.monotonic()
    replies = await asyncio.gather(*(producer.call(call, **how) for call, how, _ in calls))
    for (_, _, type_), place, reply in zip(calls, places, replies, strict=True):
        assert_error(reply, type_, "unknown", retryable=type_ == "timeout")
        assert 0.9 < reply.at - began < 2
        assert reply.json["meta"]["attempts"] == len(requests_of(simulated, place)) == 1
        assert reply.json["response"] is None


@pytest.mark.parametrize(
    "past",
    [
        pytest.param({"headers": {names.HEADER_DEADLINE: 0}}, id="zero"),
        pytest.param({"headers": {names.HEADER_DEADLINE: "0"}}, id="zero in digits"),
        pytest.param({"headers": {names.HEADER_DEADLINE: 1}}, id="1970"),
        pytest.param(deadline_in(-1), id="a second ago"),
        pytest.param(deadline_in(-1) | {"expiration": "60000"}, id="the earlier of two"),
        pytest.param({"expiration": "0"}, id="no time at all"),
        pytest.param({"expiration": "0"} | deadline_in(60), id="no time at all of two"),
    ],
)
async def test_a_call_that_comes_too_late_is_answered_and_not_made(
    past: dict[str, Any], producer: Producer, simulated: SandboxFeishu
) -> None:
    before = simulated.world.ledger.last_number
    reply = await producer.call(invite(), within=1, **past)
    assert_error(reply, "deadline_exceeded", "not_executed", retryable=True)
    assert reply.json["meta"]["attempts"] == 0
    assert reply.json["response"] is None
    assert simulated.world.ledger.last_number == before
    assert not producer.letters_of(reply)


@pytest.mark.parametrize(
    "past", [{"headers": {names.HEADER_DEADLINE: 1}}, {"expiration": "0"}], ids=["past", "no time"]
)
async def test_a_call_that_comes_too_late_and_that_nobody_waits_for_is_a_dead_letter(
    past: dict[str, Any], producer: Producer, simulated: SandboxFeishu
) -> None:
    before, correlation_id = simulated.world.ledger.last_number, secrets.token_hex(8)
    await producer.send(invite(), correlation_id=correlation_id, message_id="late", **past)
    letter = await producer.letter_of(correlation_id, within=1)
    assert letter.headers[names.HEADER_DEAD_REASON] == "expired"
    assert letter.dead_error["type"] == "deadline_exceeded"
    assert simulated.world.ledger.last_number == before


async def test_a_call_without_a_slot_before_its_deadline_is_told_so_at_once(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    assert (await producer.call(slow_call())).json["ok"]
    before, began = simulated.world.ledger.last_number, time.monotonic()
    for how in (deadline_in(5), expiring_in(5), deadline_in(15)):
        reply = await producer.call(slow_call(), **how)
        assert_error(reply, "rate_limited", "not_executed", retryable=True)
        assert 15_000 < reply.error["retry_after_ms"] < 31_000
        assert reply.json["meta"]["attempts"] == 0
        assert reply.json["response"] is None
    assert time.monotonic() - began < 1
    assert simulated.world.ledger.last_number == before
    assert (await producer.call(read())).json["ok"]


async def test_a_call_that_feishu_keeps_limiting_is_answered_before_its_deadline(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    place, began = unique("sim_rate_limited"), time.monotonic()
    call = {"method": "DELETE", "path": f"/open-apis/im/v1/messages/{place}"}
    reply = await producer.call(call, **deadline_in(2.5))
    assert reply.at - began < 2.5
    assert_error(reply, "rate_limited", "not_executed", retryable=True)
    assert reply.error["code"] == 99991400
    assert reply.error["retry_after_ms"] >= 1000
    assert reply.json["response"]["status"] == 429
    assert reply.json["meta"]["attempts"] == 0
    assert 1 < len(requests_of(simulated, place)) < 4


async def test_a_pause_that_a_retry_rung_would_stretch_beyond_the_deadline_is_not_stretched(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    place, began = unique("sim_chat_limited"), time.monotonic()
    reply = await producer.call(invite(place), **deadline_in(1.5))
    assert reply.at - began < 1.5
    assert_error(reply, "rate_limited", "not_executed", retryable=True)
    assert len(requests_of(simulated, place)) == 2


async def test_repeats_end_with_the_deadline(producer: Producer, simulated: SandboxFeishu) -> None:
    places = [unique("sim_slow_9s") for _ in range(2)] + [unique("sim_500"), unique("sim_500")]
    calls = [
        (send(places[0]), deadline_in(0.6)),
        (read(places[1]), expiring_in(0.6)),
        (send(places[2]), deadline_in(0.3)),
        (read(places[3]), expiring_in(0.3)),
    ]
    began = time.monotonic()
    replies = await asyncio.gather(*(producer.call(call, **how) for call, how in calls))
    for reply in replies:
        assert reply.error["outcome"] == "unknown"
        assert reply.error["retryable"] is True
    assert max(reply.at for reply in replies[:2]) - began < 1.6
    assert max(reply.at for reply in replies[2:]) - began < 1.3
    settled = simulated.world.ledger.last_number
    await asyncio.sleep(0.5)
    assert simulated.world.ledger.last_number == settled
