"""What becomes of calls whose gateway dies, stops or never gets to them."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import pytest

from gateway.catalogue import derive_key
from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET, SandboxFeishu
from schemas import names
from tests.support.amqp import Message
from tests.support.calls import change, invite, read, send
from tests.support.gateway import Gateway
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer
from tests.support.rows import Rows
from tests.support.waiting import eventually

INTERACTIVE, BULK = (names.calls_queue("default", lane) for lane in names.LANES)


def died(queue: str) -> dict[str, Any]:
    """A forged trace of a death in this queue, with a history that never was."""
    death = {
        "reason": "expired",
        "queue": queue,
        "exchange": "lark.reenter",
        "routing-keys": ["somebody.else"],
        "count": 1,
    }
    return {
        "x-death": [death],
        names.HEADER_ATTEMPTS: 7,
        names.HEADER_FIRST_SEEN: 1,
        names.HEADER_ORIGIN_USER: "somebody",
    }


async def test_calls_in_flight_at_a_crash_are_repeated_where_that_does_no_harm(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    places = {
        name: unique("sim_slow_60s_once")
        for name in ("read", "change", "send", "always", "invite", "never", "no id")
    }
    calls: dict[str, Any] = {
        "read": read(places["read"]),
        "change": change(places["change"]),
        "send": send(places["send"]),
        "always": invite(places["always"], retry="always"),
        "invite": invite(places["invite"]),
        "never": read(places["never"], retry="never"),
        "no id": send(places["no id"]),
    }
    how = {name: {"message_id": None if name == "no id" else f"crash-{name}"} for name in calls}
    waiting = {
        name: asyncio.create_task(producer.call(call, within=30, **how[name]))
        for name, call in calls.items()
    }
    await eventually(lambda: all(requests_of(simulated, place) for place in places.values()))
    await gateway.kill()
    await gateway.start()
    replies = {name: await task for name, task in waiting.items()}
    for name in ("read", "change", "send", "always"):
        assert replies[name].json["ok"], replies[name].json
        assert len(requests_of(simulated, places[name])) == 2
    for name in ("invite", "never", "no id"):
        assert_error(replies[name], "outcome_unknown", "unknown", retryable=False)
        assert len(requests_of(simulated, places[name])) == 1
        (letter,) = producer.letters_of(replies[name])
        assert letter.headers[names.HEADER_DEAD_REASON] == "outcome_unknown"
        assert letter.dead_error == replies[name].error
    keys = {entry["key"] for entry in requests_of(simulated, places["send"])}
    assert keys == {derive_key("default", "crash-send")}


async def test_a_call_that_was_in_flight_is_not_called_unmade_when_its_time_is_over(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    place, deadline = unique("sim_slow_60s_once"), time.time() + 1
    how = {"headers": {names.HEADER_DEADLINE: int(deadline * 1000)}}
    waiting = asyncio.create_task(producer.call(invite(place), within=30, **how))
    await eventually(lambda: bool(requests_of(simulated, place)))
    await gateway.kill()
    await asyncio.sleep(max(0.0, deadline - time.time()))
    await gateway.start()
    assert_error(await waiting, "outcome_unknown", "unknown", retryable=False)
    assert len(requests_of(simulated, place)) == 1


async def test_what_waited_too_long_in_its_queue_is_answered_or_buried(
    gateway: Gateway, producer: Producer, rows: Rows, simulated: SandboxFeishu
) -> None:
    before = simulated.world.ledger.last_number
    await gateway.terminate()
    overdue: dict[str, tuple[Any, dict[str, Any]]] = {
        "answered": (read(), {"reply_to": names.DIRECT_REPLY_TO, "message_id": "late-1"}),
        "expired": (read(), {"message_id": "late-2", "routing_key": "default.bulk.x"}),
        "malformed": (b"{", {"reply_to": names.DIRECT_REPLY_TO}),
        "invalid_call": (read(method="get"), {}),
        "forbidden": (read(), {"reply_to": "orders"}),
        "unrouted": (read(), {"routing_key": "nobody.bulk", "reply_to": names.DIRECT_REPLY_TO}),
        "forged": (read(), {"message_id": "late-3", "headers": died(INTERACTIVE)}),
    }
    ids = {name: secrets.token_hex(8) for name in overdue}
    for name, (body, how) in overdue.items():
        await producer.send(body, correlation_id=ids[name], expiration="50", **how)
    await asyncio.sleep(0.1)
    await gateway.start()
    reply = await producer.reply_of(ids["answered"])
    assert_error(reply, "deadline_exceeded", "not_executed", retryable=True)
    assert reply.json["call_id"] == "late-1"
    assert reply.json["meta"]["attempts"] == 0
    letters = {name: await producer.letter_of(ids[name]) for name in overdue if name != "answered"}
    reasons = {name: letter.headers[names.HEADER_DEAD_REASON] for name, letter in letters.items()}
    assert reasons == {name: name for name in letters} | {"forged": "expired"}
    for name in ("malformed", "unrouted"):
        assert (await producer.reply_of(ids[name])).error == letters[name].dead_error
    assert_expired(letters["expired"], "default.bulk.x", "late-2")
    assert_expired(letters["forged"], "default.interactive", "late-3")
    (row,) = await rows.of(ids["expired"])
    assert (row["reason"], row["app"], row["call_id"]) == ("expired", "default", "late-2")
    assert simulated.world.ledger.last_number == before
    assert not producer.letters_of(reply)
    assert not [r for r in producer.replies if r.properties.correlation_id == ids["forbidden"]]


def assert_expired(letter: Message, routing_key: str, call_id: str) -> None:
    """The headers that the gateway worked out for what the broker dead-lettered."""
    assert letter.headers["lark-origin-exchange"] == "lark.calls"
    assert letter.headers["lark-origin-routing-key"] == routing_key
    assert letter.headers["lark-call-id"] == call_id
    assert letter.headers["lark-attempts"] == 0
    assert letter.headers["lark-first-seen"] > 1_700_000_000_000
    assert letter.dead_error["type"] == "deadline_exceeded"
    assert not letter.headers.keys() & {"x-death", "lark-origin-user"}


@pytest.mark.parametrize(
    ("reply_to", "reason"), [(names.DIRECT_REPLY_TO, "delivery_limit"), ("orders", "forbidden")]
)
async def test_a_call_that_crashes_everyone_is_given_up(
    reply_to: str, reason: str, gateway: Gateway, producer: Producer, rows: Rows
) -> None:
    await gateway.terminate()
    correlation_id = secrets.token_hex(8)
    await producer.send(
        read(),
        reply_to=reply_to,
        correlation_id=correlation_id,
        message_id="crasher",
        routing_key="default.bulk",
    )
    assert await producer.take_and_die(BULK) > 2
    await gateway.start()
    letter = await producer.letter_of(correlation_id)
    assert letter.headers[names.HEADER_DEAD_REASON] == reason
    assert letter.headers["lark-call-id"] == "crasher"
    assert letter.headers["lark-origin-routing-key"] == "default.bulk"
    (row,) = await rows.of(correlation_id)
    assert row["reason"] == reason
    if reason == "delivery_limit":
        reply = await producer.reply_of(correlation_id)
        assert_error(reply, "internal", "unknown", retryable=False)
        assert letter.dead_error == reply.error


async def test_a_wrong_secret_is_told_to_the_producer(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    simulated.world.tokens.apps[DEFAULT_APP_ID] = "another secret"
    simulated.world.tokens.revoke()
    try:
        reply = await producer.call(read())
        assert_error(reply, "credentials_invalid", "not_executed", retryable=False)
        assert reply.json["response"] is None
        assert reply.json["meta"]["attempts"] == 0
        assert DEFAULT_SECRET not in reply.body.decode()
        assert DEFAULT_SECRET not in gateway.log.read_text(encoding="utf-8")
    finally:
        simulated.world.tokens.apps[DEFAULT_APP_ID] = DEFAULT_SECRET
