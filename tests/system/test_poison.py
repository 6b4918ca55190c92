"""No message stops the gateway: each kind of poison is answered, buried and forgotten."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

import pytest

from sandbox.feishu import SandboxFeishu
from schemas import names
from tests.support.amqp import Message
from tests.support.gateway import Gateway, api_requests
from tests.support.poison import bodies, fields, headers, order, properties
from tests.support.poison.kinds import CALL, Poison, parametrized
from tests.support.poison.properties import REPLY_ADDRESSES
from tests.support.producer import GOOD_CALL, Producer

KINDS = [*bodies.KINDS, *fields.KINDS, *headers.KINDS, *properties.KINDS, *order.KINDS]
ALWAYS = {"type", "message", "retryable", "outcome"}
AT_ONCE = 16


@dataclass
class Fate:
    """What became of a message, and of the gateway after it and some others at the same time."""

    reply: Message | None = None
    letter: Message | None = None
    seconds: float = 0.0
    requests: int = 0
    next_call_ok: bool = False
    same_process: bool = False


@pytest.fixture(scope="module")
async def fates(gateway: Gateway, producer: Producer, simulated: SandboxFeishu) -> dict[str, Fate]:
    """What becomes of every kind of poison."""
    fates: dict[str, Fate] = {}
    for start in range(0, len(KINDS), AT_ONCE):
        kinds = KINDS[start : start + AT_ONCE]
        pid, before = gateway.pid, simulated.world.ledger.last_number
        found = await asyncio.gather(*(fate_of(kind, producer) for kind in kinds))
        requests = simulated.world.ledger.last_number - before
        next_call_ok = (await producer.call(GOOD_CALL)).json["ok"]
        for kind, fate in zip(kinds, found, strict=True):
            fate.requests, fate.next_call_ok = requests, next_call_ok
            fate.same_process = gateway.pid == pid
            fates[kind.name] = fate
    assert len(fates) == len(KINDS)
    return fates


async def fate_of(poison: Poison, producer: Producer) -> Fate:
    correlation_id, fate = secrets.token_hex(8), Fate()
    addressed = {
        "reply_to": names.DIRECT_REPLY_TO,
        "correlation_id": correlation_id,
        "message_id": secrets.token_hex(8),
        **poison.properties,
    }
    began = time.monotonic()
    await producer.send(poison.body, routing_key=poison.routing_key, **addressed)
    with suppress(AssertionError):
        fate.reply = await producer.reply_of(correlation_id, within=poison.within)
        fate.letter = await producer.letter_of(correlation_id, within=poison.within)
        fate.seconds = max(fate.reply.at, fate.letter.at) - began
    return fate


def assert_refusal(reply: Message, poison: Poison) -> None:
    """What a refused call is answered with."""
    document = reply.json
    assert set(document) == {"ok", "call_id", "response", "error", "meta"}
    assert document["ok"] is False
    assert document["response"] is None
    assert document["meta"]["attempts"] == 0
    assert document["meta"]["duplicate"] is False
    assert document["error"].keys() >= ALWAYS
    assert document["error"]["type"] == poison.type
    assert document["error"]["outcome"] == "not_executed"
    assert document["error"]["retryable"] is False
    for word in poison.says:
        assert word in document["error"]["message"]
    assert len(document["error"]["message"]) < 500


@parametrized(KINDS)
def test_poison_is_answered_and_buried_within_a_second_and_harms_nobody(
    poison: Poison, fates: dict[str, Fate]
) -> None:
    fate = fates[poison.name]
    assert fate.reply is not None
    assert fate.letter is not None
    assert fate.seconds < poison.within
    assert_refusal(fate.reply, poison)
    assert fate.letter.headers[names.HEADER_DEAD_REASON] == poison.reason
    assert fate.letter.dead_error == fate.reply.error
    assert fate.requests == 0
    assert fate.next_call_ok
    assert fate.same_process


@pytest.mark.parametrize("address", REPLY_ADDRESSES)
async def test_a_call_with_a_forbidden_reply_address_becomes_a_dead_letter_and_is_never_answered(
    address: str, gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    pid, before = gateway.pid, simulated.world.ledger.last_number
    correlation_id = secrets.token_hex(8)
    async with producer.watched(address) as arrived:
        await producer.send(CALL, reply_to=address, correlation_id=correlation_id)
        letter = await producer.letter_of(correlation_id, within=1)
        assert (await producer.call(GOOD_CALL)).json["ok"]
        assert not arrived
    assert letter.headers[names.HEADER_DEAD_REASON] == "forbidden"
    assert letter.dead_error["type"] == "forbidden"
    assert "reply_to" in letter.dead_error["message"]
    assert letter.properties.reply_to == address
    assert [entry["path"] for entry in api_requests(simulated, before)] == [
        "/open-apis/contact/v3/users/ou_good"
    ]
    assert gateway.pid == pid


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        pytest.param(b"", {}, id="a broken body"),
        pytest.param(CALL, {"content_type": "text/plain"}, id="a wrong content_type"),
        pytest.param(CALL, {"message_id": "a b"}, id="an unusable call id"),
        pytest.param(CALL, {"headers": {"CC": []}}, id="a CC"),
        pytest.param(CALL, {"headers": {"lark-deadline": 1}}, id="a passed deadline"),
        pytest.param(CALL, {"expiration": "0"}, id="no time at all"),
    ],
)
async def test_a_forbidden_reply_address_counts_before(
    body: bytes, properties: dict[str, object], producer: Producer
) -> None:
    correlation_id = secrets.token_hex(8)
    await producer.send(body, reply_to="lark.dead", correlation_id=correlation_id, **properties)
    letter = await producer.letter_of(correlation_id, within=1)
    assert letter.headers[names.HEADER_DEAD_REASON] == "forbidden"
    assert "reply_to" in letter.dead_error["message"]


@pytest.mark.parametrize("key", ["default.interactive", "default.bulk.x", "nobody.bulk", "x", ""])
async def test_nothing_that_is_published_as_a_call_is_returned(
    key: str, producer: Producer
) -> None:
    await producer.call(CALL, routing_key=key, mandatory=True)
