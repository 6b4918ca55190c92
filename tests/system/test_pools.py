"""One alias, several apps: who serves a call, and what becomes of it when that one cannot."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.database import Database
from sandbox.feishu import SandboxFeishu
from sandbox.feishu.faults import Rule
from tests.support.amqp import Message
from tests.support.apps import SECRET_KEY, Registry, app_id_of
from tests.support.calls import INVITE, READ, SEND, invite, read, send
from tests.support.gateway import Gateway, SetLimits, api_requests
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer
from tests.support.waiting import eventually

MEMBERS = ("one", "two", "three")
POOL = {"routing_key": "all.interactive"}


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    limits = set_limits({f"GET {READ}": "5/1"})
    return gateway_environment | limits | {"LARK_SERVICE_SECRET_KEY": SECRET_KEY}


@pytest.fixture(scope="module", autouse=True)
async def registry(
    gateway: Gateway, producer: Producer, database_url: str, simulated: SandboxFeishu
) -> AsyncIterator[Registry]:
    """Three apps and the pool of them, which the gateway knows."""
    database = Database(database_url)
    made = Registry(database, simulated)
    await made.add(*MEMBERS)
    await made.pool("all", *MEMBERS)
    await knows(gateway, "all")
    yield made
    await database.close()


async def knows(gateway: Gateway, alias: str) -> None:
    """Wait until the gateway consumes the queues of this alias."""
    queue = f"lark.calls.{alias}.retry"
    await eventually(lambda: any(queue in entry["queues"] for entry in gateway.events("consuming")))


async def call_all(producer: Producer, bodies: list[dict[str, Any]], **how: Any) -> list[Message]:
    """Publish them together to the pool; returns the replies."""
    within = how.pop("within", 60)
    return await asyncio.gather(
        *(producer.call(body, within=within, **POOL | how) for body in bodies)
    )


def errors_of(replies: list[Message]) -> list[Any]:
    return [reply.json["error"] for reply in replies if not reply.json["ok"]]


def befalls(simulated: SandboxFeishu, template: str, **fault: Any) -> None:
    """Have the next requests to this API meet a fault."""
    rule = Rule.parse({"method": "POST", "template": template, **fault})
    simulated.world.script.rules.append(rule)


def apps_of(simulated: SandboxFeishu, magic: str) -> list[str]:
    """Which apps requested this, in order."""
    return [entry["app_id"] for entry in requests_of(simulated, magic)]


async def test_the_reply_says_which_app_served_and_for_which_pool(producer: Producer) -> None:
    reply = await producer.call(read(), **POOL)
    assert reply.json["ok"], reply.json
    assert reply.json["meta"]["pool"] == "all"
    assert reply.json["meta"]["app"] in MEMBERS
    own = await producer.call(read(), routing_key="one.bulk")
    assert own.json["meta"]["app"] == "one"
    assert "pool" not in own.json["meta"]


async def test_the_members_share_the_calls_evenly(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    since = simulated.world.ledger.last_number
    replies = await call_all(producer, [read()] * 90)
    assert errors_of(replies) == []
    served = Counter(entry["app_id"] for entry in api_requests(simulated, since))
    assert set(served) == set(map(app_id_of, MEMBERS))
    assert min(served.values()) >= 20


async def test_a_disabled_member_is_passed_over_and_none_left_is_said(
    gateway: Gateway, producer: Producer, registry: Registry
) -> None:
    await registry.disable("one")
    await registry.disable("three")
    async with asyncio.timeout(10):
        while True:
            replies = await call_all(producer, [read()] * 4)
            assert errors_of(replies) == []
            if {reply.json["meta"]["app"] for reply in replies} == {"two"}:
                break
    await registry.disable("two")
    async with asyncio.timeout(10):
        while True:
            reply = await producer.call(read(), **POOL)
            if not reply.json["ok"]:
                break
    assert_error(reply, "app_unavailable", "not_executed", retryable=False)
    for member in MEMBERS:
        await registry.enable(member)
    async with asyncio.timeout(10):
        while True:
            replies = await call_all(producer, [read()] * 6)
            if {reply.json["meta"].get("app") for reply in replies} == set(MEMBERS):
                break


async def test_users_and_tenants_are_of_one_app_and_refused(producer: Producer) -> None:
    for identity in ({"user": "ou_1"}, {"tenant": "t"}):
        reply = await producer.call(read(**{"as": identity}), **POOL)
        assert_error(reply, "invalid_call", "not_executed", retryable=False)
        assert "pool" in reply.error["message"]


async def test_a_call_that_may_have_been_executed_stays_with_its_member(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    magics = [unique("oc_doubt") for _ in range(6)]
    befalls(simulated, SEND, count=6, cut="after")
    replies = await call_all(producer, [send(magic) for magic in magics])
    assert errors_of(replies) == []
    for magic, reply in zip(magics, replies, strict=True):
        asked = apps_of(simulated, magic)
        assert set(asked) == {app_id_of(reply.json["meta"]["app"])}
    assert sum(len(apps_of(simulated, magic)) for magic in magics) == 12


async def test_a_call_that_was_in_flight_at_a_crash_goes_to_the_same_member(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    # A process that has just started begins with the first member: not so the calls that it finds.
    async with asyncio.timeout(10):
        while True:
            reply = await producer.call(read(), **POOL)
            if reply.json["meta"]["app"] == MEMBERS[0]:
                break
    magics = [unique("oc_crash") for _ in range(6)]
    ids = {magic: f"call-{secrets.token_hex(8)}" for magic in magics}
    befalls(simulated, SEND, count=6, delay_ms=3000)
    calls = [
        asyncio.create_task(producer.call(send(magic), within=30, message_id=ids[magic], **POOL))
        for magic in magics
    ]
    await eventually(lambda: all(apps_of(simulated, magic) for magic in magics))
    await gateway.kill()
    await gateway.start()
    replies = await asyncio.gather(*calls)
    assert errors_of(replies) == []
    for magic in magics:
        asked = apps_of(simulated, magic)
        assert len(asked) == 2
        assert len(set(asked)) == 1


async def test_a_call_that_may_not_be_repeated_is_not_passed_on(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    magic = unique("oc_once")
    befalls(simulated, INVITE, count=1, cut="after")
    reply = await producer.call(invite(magic), **POOL)
    assert_error(reply, "outcome_unknown", "unknown", retryable=False)
    assert len(apps_of(simulated, magic)) == 1


async def test_a_member_with_broken_credentials_fails_no_call(
    producer: Producer, registry: Registry, simulated: SandboxFeishu
) -> None:
    await registry.set_secret_at_feishu("two", "another secret")
    since = simulated.world.ledger.last_number
    replies = await call_all(producer, [read()] * 60)
    assert errors_of(replies) == []
    assert {reply.json["meta"]["app"] for reply in replies} == {"one", "three"}
    served = {entry["app_id"] for entry in api_requests(simulated, since) if entry["status"] == 200}
    assert served == {app_id_of("one"), app_id_of("three")}
    await registry.set_secret_at_feishu("two", "secret of two")
