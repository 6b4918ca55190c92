"""Feishu fails: how much is repeated, what is held back, and what becomes of it afterwards."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import Any

import pytest

from sandbox.feishu import SandboxFeishu
from sandbox.feishu.faults import Rule
from schemas import names
from tests.support.amqp import Message
from tests.support.calls import CHANGE, INVITE, READ, change, invite, read
from tests.support.gateway import Gateway, SetLimits, api_requests
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer

WIDE = "100000/1"
MANY = 40
"""More calls than a line holds: the others wait in the overflow queue."""


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    apis = (f"GET {READ}", f"PUT {CHANGE}", f"POST {INVITE}")
    limits = set_limits(dict.fromkeys(apis, WIDE))
    own = {"LARK_SERVICE_RETRY_PERCENT": "10", "LARK_SERVICE_BREAKER_CALLS": "20"}
    return gateway_environment | limits | own


def fail(simulated: SandboxFeishu, template: str, times: int = 10_000) -> None:
    """Have Feishu answer this API with 503."""
    rule = {"template": template, "status": 503, "count": times}
    simulated.world.script.rules.append(Rule.parse(rule))


async def call_all(producer: Producer, calls: list[dict[str, Any]], **how: Any) -> list[Message]:
    return list(await asyncio.gather(*(producer.call(call, **how) for call in calls)))


async def test_repeats_stay_within_a_tenth_of_the_calls(
    producer: Producer, simulated: SandboxFeishu, gateway: Gateway
) -> None:
    since = simulated.world.ledger.last_number
    users = [unique("sim_500_then_ok" if i % 10 in (2, 5, 8) else "ou_1") for i in range(400)]
    replies = await call_all(producer, [read(user) for user in users], within=30)
    outcomes = Counter(reply.json["ok"] or reply.json["error"]["type"] for reply in replies)
    assert set(outcomes) == {True, "feishu_unavailable"}
    assert all(reply.json["ok"] or reply.error["retryable"] for reply in replies)
    repeats = len(api_requests(simulated, since)) - len(users)
    assert 10 <= repeats <= len(users) / 10
    assert outcomes[True] == 280 + repeats
    assert f'retries_total{{cause="server_error"}} {repeats}.0' in await gateway.metrics()
    assert not gateway.events("circuit opened")


async def test_a_call_that_may_be_executed_once_only_is_sent_once(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    fail(simulated, INVITE, times=1)
    place = unique("oc")
    reply = await producer.call(invite(place))
    assert_error(reply, "outcome_unknown", "unknown", retryable=False)
    assert len(requests_of(simulated, place)) == reply.json["meta"]["attempts"] == 1


async def test_what_keeps_failing_is_left_alone_until_it_is_well_again(
    producer: Producer, simulated: SandboxFeishu, gateway: Gateway
) -> None:
    fail(simulated, CHANGE)
    for reply in await call_all(producer, [change(retry="never") for _ in range(20)]):
        assert_error(reply, "feishu_unavailable", "unknown", retryable=True)
    since = simulated.world.ledger.last_number
    ids = [f"call-{secrets.token_hex(8)}" for _ in range(MANY)]
    for each in ids:
        await producer.send(
            change(),
            message_id=each,
            correlation_id=each,
            reply_to=names.DIRECT_REPLY_TO,
        )
    late, other = await asyncio.gather(
        producer.call(change(), expiration="2000"), producer.call(read())
    )
    assert_error(late, "circuit_open", "not_executed", retryable=True)
    assert 0 < late.error["retry_after_ms"] <= 6000
    assert late.json["meta"]["attempts"] == 0
    assert other.json["ok"]
    assert [entry["method"] for entry in api_requests(simulated, since)] == ["GET"]
    assert 'circuits{level="api",state="open"} 1.0' in await gateway.metrics()
    simulated.world.script.rules.clear()
    for each in ids:
        reply = await producer.reply_of(each, within=40)
        assert reply.json["ok"], reply.json
        assert reply.json["meta"]["attempts"] == 1
    assert len(api_requests(simulated, since)) == MANY + 1
    [opened], [closed] = gateway.events("circuit opened"), gateway.events("circuit closed")
    assert opened["api"] == closed["api"] == f"PUT {CHANGE}"
    assert (opened["why"], opened["failed"]) == ("failing", 20)
