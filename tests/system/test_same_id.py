"""One call id is one call: executed once, and answered alike whenever it is published again."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.catalogue import derive_key
from sandbox.feishu import SandboxFeishu
from sandbox.stack import Stack
from schemas import names
from tests.support.amqp import Message
from tests.support.calls import change, invite, read, send
from tests.support.gateway import Gateway, SetLimits
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer
from tests.support.waiting import eventually

Build = Callable[..., dict[str, Any]]
SLOW_API = "POST /open-apis/im/v1/chats/:chat_id/link"
MOST_ROUNDS = 10
BUILDS = pytest.mark.parametrize("build", [send, invite])


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    return gateway_environment | set_limits({SLOW_API: "4/1"})


@pytest.fixture(scope="module")
async def second(
    gateway: Gateway,
    gateway_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Gateway]:
    """Another process beside the module's."""
    assert gateway.pid
    process = Gateway(tmp_path_factory.mktemp("second"), gateway_environment)
    await process.start()
    yield process
    await process.stop()


def slow_call(chat: str) -> dict[str, Any]:
    """Class N, four a second."""
    return {"method": "POST", "path": f"/open-apis/im/v1/chats/{chat}/link", "body": {}}


def shuffled(call: dict[str, Any]) -> bytes:
    """The same content, written in another way."""
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(call.items())
    }
    return json.dumps(turned, indent=3).encode()


def assert_repeated(first: Message, again: Message) -> None:
    """The second is the first once more, to another delivery."""
    for name in ("ok", "call_id", "response", "error"):
        assert again.json[name] == first.json[name]
    for name in ("app", "api", "attempts"):
        assert again.json["meta"][name] == first.json["meta"][name]
    assert again.json["meta"]["duplicate"] is True
    assert again.properties.message_id != first.properties.message_id
    assert again.properties.correlation_id != first.properties.correlation_id


@BUILDS
async def test_an_id_that_is_published_again_is_answered_from_its_record(
    build: Build, producer: Producer, simulated: SandboxFeishu
) -> None:
    place, call_id = unique("oc"), secrets.token_hex(8)
    first = await producer.call(build(place), message_id=call_id)
    assert first.json["ok"], first.json
    assert first.json["meta"]["duplicate"] is False
    late = {"headers": {names.HEADER_DEADLINE: 1}}
    for body, how in (
        (build(place), {}),
        (shuffled(build(place)), {}),
        (build(place, retry="never"), {"routing_key": "default.bulk.x"}),
        (build(place, retry="always"), {}),
        (build(place), late),
    ):
        assert_repeated(first, await producer.call(body, message_id=call_id, **how))
    assert len(requests_of(simulated, place)) == 1
    other = unique("oc")
    reply = await producer.call(build(other), message_id=call_id)
    assert_error(reply, "id_reused", "not_executed", retryable=False)
    assert not requests_of(simulated, other)
    assert not producer.letters_of(reply)


@BUILDS
async def test_what_feishu_said_no_to_is_said_again(
    build: Build, producer: Producer, simulated: SandboxFeishu
) -> None:
    place, call_id = unique("sim_code_12345"), secrets.token_hex(8)
    first = await producer.call(build(place), message_id=call_id)
    assert_error(first, "feishu_error", "executed", retryable=False)
    assert_repeated(first, await producer.call(build(place), message_id=call_id))
    correlation_id = secrets.token_hex(8)
    await producer.send(build(place), message_id=call_id, correlation_id=correlation_id)
    letter = await producer.letter_of(correlation_id)
    assert letter.headers[names.HEADER_DEAD_REASON] == "failed"
    assert letter.dead_error == first.error
    assert len(requests_of(simulated, place)) == 1


@pytest.mark.parametrize(("build", "remembered"), [(send, True), (invite, False)])
async def test_what_was_not_executed_is_tried_again(
    build: Build, remembered: bool, producer: Producer, simulated: SandboxFeishu
) -> None:
    place, call_id = unique("sim_permission_once"), secrets.token_hex(8)
    first = await producer.call(build(place), message_id=call_id)
    assert_error(first, "permission_denied", "not_executed", retryable=False)
    late = {"headers": {names.HEADER_DEADLINE: 1}}
    reply = await producer.call(build(place), message_id=call_id, **late)
    assert_error(reply, "deadline_exceeded", "not_executed", retryable=True)
    if remembered:
        reply = await producer.call(build(unique("oc")), message_id=call_id)
        assert_error(reply, "id_reused", "not_executed", retryable=False)
    again = await producer.call(build(place), message_id=call_id)
    assert again.json["ok"], again.json
    assert again.json["meta"]["duplicate"] is False
    assert len(requests_of(simulated, place)) == 2


@BUILDS
async def test_a_call_that_was_never_sent_leaves_its_id_free(
    build: Build, producer: Producer
) -> None:
    call_id, late = secrets.token_hex(8), {"headers": {names.HEADER_DEADLINE: 1}}
    reply = await producer.call(build(unique("oc")), message_id=call_id, **late)
    assert_error(reply, "deadline_exceeded", "not_executed", retryable=True)
    reply = await producer.call(build(unique("oc")), message_id=call_id)
    assert reply.json["ok"], reply.json


async def test_an_n_call_in_doubt_stays_so_unless_its_producer_accepts_duplicates(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    places = [unique("sim_500") for _ in range(2)]
    replies = []
    for place, retry in zip(places, ("safe", "always"), strict=True):
        replies += [
            await producer.call(invite(place, retry=retry), message_id=place) for _ in range(2)
        ]
    doubted, doubted_again, failed, failed_again = replies
    assert_error(doubted, "outcome_unknown", "unknown", retryable=False)
    assert_repeated(doubted, doubted_again)
    for reply in (doubted, doubted_again):
        (letter,) = producer.letters_of(reply)
        assert letter.dead_error == reply.error
    assert len(requests_of(simulated, places[0])) == 1
    for reply in (failed, failed_again):
        assert_error(reply, "feishu_unavailable", "unknown", retryable=True)
        assert reply.json["meta"]["duplicate"] is False
    assert len(requests_of(simulated, places[1])) == 8


@pytest.mark.parametrize(("build", "id_given"), [(read, True), (change, True), (invite, False)])
async def test_what_is_not_recorded_is_executed_again(
    build: Build, id_given: bool, producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("oc")
    how = {"message_id": place if id_given else None}
    for times in (1, 2):
        reply = await producer.call(build(place), **how)
        assert reply.json["meta"]["duplicate"] is False
        assert len(requests_of(simulated, place)) == times


async def test_the_record_answers_who_did_not_get_the_reply(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("oc")
    gone = f"lark.reply.{secrets.token_hex(4)}"
    await producer.send(invite(place), message_id=place, reply_to=gone, correlation_id="gone")
    await eventually(lambda: bool(requests_of(simulated, place)))
    reply = await producer.call(invite(place), message_id=place)
    assert reply.json["ok"], reply.json
    assert reply.json["meta"]["duplicate"] is True
    assert len(requests_of(simulated, place)) == 1


async def test_who_repeats_a_running_call_waits_for_its_end_or_its_own_deadline(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("sim_slow_3s")
    first = asyncio.create_task(producer.call(send(place), message_id=place))
    await eventually(lambda: bool(requests_of(simulated, place)))
    again = asyncio.create_task(producer.call(send(place), message_id=place))
    deadline = int((time.time() + 0.4) * 1000)
    hurried = await producer.call(
        send(place), message_id=place, headers={names.HEADER_DEADLINE: deadline}
    )
    assert_error(hurried, "deadline_exceeded", "not_executed", retryable=True)
    assert not first.done()
    other = await producer.call(send(unique("oc")), message_id=place)
    assert_error(other, "id_reused", "not_executed", retryable=False)
    assert_repeated(await first, await again)
    assert len(requests_of(simulated, place)) == 1


async def test_two_processes_execute_an_id_once(
    gateway: Gateway, second: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    processes = (gateway, second)
    for _ in range(MOST_ROUNDS):
        before = [await claims_of(process) for process in processes]
        builds = {unique("oc"): build for build in (send, invite) * 6}
        replies = {
            place: await asyncio.gather(
                *(producer.call(build(place), message_id=place, within=30) for _ in range(3))
            )
            for place, build in builds.items()
        }
        after = [await claims_of(process) for process in processes]
        news = [new - old for new, old in zip(after, before, strict=True)]
        # On a busy machine Redis may not answer in time, and then nobody is promised this.
        if all(new["claimed"] for new in news) and not any(new["unwritten"] for new in news):
            break
    else:
        pytest.fail(f"in none of {MOST_ROUNDS} rounds were all calls claimed by both: {news}")
    for place, told in replies.items():
        first, *others = sorted(told, key=lambda reply: reply.json["meta"]["duplicate"])
        assert first.json["ok"], first.json
        for other in others:
            assert_repeated(first, other)
        assert len(requests_of(simulated, place)) == 1


async def claims_of(process: Gateway) -> Counter[str]:
    """What came of the claims of a process so far."""
    found = re.findall(
        r'^lark_service_outcome_claims_total{result="(\w+)"} ([\d.]+)$',
        await process.metrics(),
        re.MULTILINE,
    )
    return Counter({result: int(float(count)) for result, count in found})


async def test_a_crash_leaves_one_call_in_doubt_and_its_neighbours_unharmed(
    gateway: Gateway, second: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    await second.terminate()
    doubted, repeated = unique("sim_slow_60s_once"), unique("sim_slow_60s_once")
    neighbours = [unique("oc") for _ in range(10)]
    expired = unique("sim_slow_60s_once")
    calls = {doubted: invite(doubted), repeated: send(repeated), expired: invite(expired)}
    over = time.time() + 8
    held = {
        place: asyncio.create_task(
            producer.call(
                call,
                message_id=place,
                within=30,
                expiration="8000" if place == expired else None,
            )
        )
        for place, call in calls.items()
    }
    await eventually(lambda: all(requests_of(simulated, place) for place in calls))
    waiting = [
        asyncio.create_task(producer.call(slow_call(place), message_id=place, within=30))
        for place in neighbours
    ]
    # A second's permits are spent: the others are in line.
    await eventually(lambda: sum(task.done() for task in waiting) >= 4)
    await gateway.kill()
    assert not all(requests_of(simulated, place) for place in neighbours)
    # RabbitMQ gives up what has expired meanwhile, and does not say that it was delivered before.
    await eventually(lambda: time.time() > over)
    await second.start()
    unknown, known = await held[doubted], await held[repeated]
    assert_error(unknown, "outcome_unknown", "unknown", retryable=False)
    assert len(requests_of(simulated, doubted)) == 1
    (letter,) = producer.letters_of(unknown)
    assert letter.dead_error == unknown.error
    again = await producer.call(invite(doubted), message_id=doubted)
    assert_repeated(unknown, again)
    assert len(requests_of(simulated, doubted)) == 1
    assert_error(await held[expired], "outcome_unknown", "unknown", retryable=False)
    assert len(requests_of(simulated, expired)) == 1
    assert known.json["ok"], known.json
    keys = [entry["key"] for entry in requests_of(simulated, repeated)]
    assert keys == [derive_key("default", repeated)] * 2
    for place, task in zip(neighbours, waiting, strict=True):
        reply = await task
        assert reply.json["ok"], reply.json
        assert len(requests_of(simulated, place)) == 1
    await gateway.start()


async def test_without_redis_calls_are_answered_and_their_ids_known(
    idle_stack: Stack, gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    if idle_stack.is_given("redis"):
        pytest.skip("REDIS_URL names a server that is not ours to stop")
    assert gateway.pid
    await asyncio.to_thread(idle_stack.redis.stop)
    try:
        keyed, once = unique("oc"), unique("oc")
        for call, place in ((send(keyed), keyed), (invite(once), once)):
            replies = [await producer.call(call, message_id=place) for _ in range(2)]
            assert all(reply.json["ok"] for reply in replies)
        assert_repeated(*replies)
        assert len(requests_of(simulated, once)) == 1
        # Another process may not know of it, and Feishu does.
        assert len({entry["key"] for entry in requests_of(simulated, keyed)}) == 1
    finally:
        await asyncio.to_thread(idle_stack.redis.start)
