"""What becomes of calls in overflow queues when every process is killed, stopped or away."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from consumers.connection import open_connection
from consumers.overflow_channel import OverflowChannel
from sandbox.feishu import SandboxFeishu
from schemas import names
from tests.support.amqp import Message
from tests.support.calls import INVITE, READ, invite, read
from tests.support.gateway import Gateway, SetLimits, api_requests
from tests.support.judging import assert_error, requests_of
from tests.support.producer import Producer
from tests.support.rows import Rows

RATE = 20
FEW = 6
"""Calls that are under way at a moment, at most."""


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    limits = {f"GET {READ}": f"{RATE}/1", f"POST {INVITE}": f"{RATE}/1"}
    return gateway_environment | set_limits(limits)


@pytest.fixture
async def fleet(
    gateway: Gateway, gateway_environment: dict[str, str], tmp_path: Path
) -> AsyncIterator[list[Gateway]]:
    """Two processes, both serving."""
    second = Gateway(tmp_path, gateway_environment)
    try:
        await second.start()
        yield [gateway, second]
    finally:
        await second.stop()


class Waiting:
    """The overflow queues as RabbitMQ and Postgres know them."""

    def __init__(self, channel: OverflowChannel, database_url: str) -> None:
        self._channel = channel
        self._database_url = database_url

    async def calls(self) -> int:
        """How many calls wait in all overflow queues."""
        connection = await asyncpg.connect(self._database_url)
        try:
            rows = await connection.fetch("SELECT name FROM overflow_queues")
        finally:
            await connection.close()
        looks = [await self._channel.look(row["name"]) for row in rows]
        return sum(look.messages for look in looks if look)

    async def settled(self, least: int) -> None:
        """Wait until no more calls come in, of which there must be so many."""
        looks = [-1, -1, -1]
        async with asyncio.timeout(20):
            while looks[-1] < least or looks != sorted(looks, reverse=True):
                await asyncio.sleep(0.5)
                looks = [*looks[1:], await self.calls()]

    async def at_least(self, count: int) -> None:
        """Wait until so many calls wait there."""
        async with asyncio.timeout(10):
            while True:
                if await self.calls() >= count:
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def waiting(rabbitmq_url: str, database_url: str) -> AsyncIterator[Waiting]:
    connection = await open_connection(rabbitmq_url, "test")
    channel = OverflowChannel()
    channel.attach(connection)
    yield Waiting(channel, database_url)
    await connection.close()


async def publish(
    producer: Producer, calls: Iterable[dict[str, Any]], seconds: float, **more: Any
) -> list[str]:
    """Publish them together, to be made within so many seconds; returns the call ids."""
    ids = []
    deadline = int((time.time() + seconds) * 1000)
    async with asyncio.TaskGroup() as group:
        for call in calls:
            ids.append(f"call-{secrets.token_hex(8)}")
            properties: dict[str, Any] = {
                "message_id": ids[-1],
                "correlation_id": ids[-1],
                "reply_to": names.DIRECT_REPLY_TO,
                "headers": {names.HEADER_DEADLINE: deadline},
            }
            group.create_task(producer.send(call, **properties | more))
    return ids


async def answers(producer: Producer, ids: list[str], *, within: float) -> dict[str, list[Message]]:
    """Every reply to these calls, once each has one."""
    found: dict[str, list[Message]] = {}

    def all_there() -> bool:
        for each in ids:
            found[each] = [
                reply for reply in producer.replies if reply.properties.correlation_id == each
            ]
        return all(found.values())

    async with asyncio.timeout(within):
        while True:
            if all_there():
                return found
            await asyncio.sleep(0.1)


async def test_calls_in_overflow_queues_are_found_after_every_process_was_killed(
    fleet: list[Gateway], producer: Producer, simulated: SandboxFeishu, waiting: Waiting
) -> None:
    since = simulated.world.ledger.last_number
    places = [f"ou_{secrets.token_hex(6)}" for _ in range(300)]
    ids = await publish(producer, (read(place) for place in places), seconds=100)
    # Killed while it moves calls, a process leaves the original of what has arrived as well.
    await waiting.settled(100)
    await asyncio.gather(*(process.kill() for process in fleet))
    left = await waiting.calls()
    assert left >= 80
    await asyncio.gather(*(process.start() for process in fleet))
    replies = await answers(producer, ids, within=60)
    errors = [first.json["error"] for first, *_ in replies.values() if not first.json["ok"]]
    assert not errors
    # What was under way when they were killed is legally made twice.
    twice = [each for each in replies.values() if len(each) > 1]
    assert len(twice) <= FEW
    paths = Counter(entry["path"] for entry in api_requests(simulated, since))
    assert all(paths[READ.replace(":user_id", place)] for place in places)
    assert 300 <= paths.total() <= 300 + FEW
    assert await waiting.calls() == 0


async def test_who_stops_gives_back_what_it_took_and_nothing_is_made_twice(
    fleet: list[Gateway], producer: Producer, simulated: SandboxFeishu, waiting: Waiting
) -> None:
    places = [f"oc_{secrets.token_hex(6)}" for _ in range(150)]
    ids = await publish(producer, (invite(place) for place in places), seconds=60)
    await waiting.at_least(30)
    assert await fleet[1].terminate() == 0
    await fleet[1].start()
    assert await fleet[0].terminate() == 0
    await fleet[0].start()
    replies = await answers(producer, ids, within=40)
    errors = [each[0].json["error"] for each in replies.values() if not each[0].json["ok"]]
    assert not errors
    assert {len(each) for each in replies.values()} == {1}
    assert {len(requests_of(simulated, place)) for place in places} == {1}


async def test_what_expires_in_an_overflow_queue_is_answered_with_what_is_known_of_it(
    fleet: list[Gateway], producer: Producer, waiting: Waiting, rows: Rows, rabbitmq_user: str
) -> None:
    began = time.time()
    ids = await publish(producer, [read()] * 100, seconds=9, user_id=rabbitmq_user)
    letters = await publish(producer, [read()] * 40, seconds=9, user_id=rabbitmq_user, reply_to="")
    await waiting.settled(5)
    await asyncio.gather(*(process.kill() for process in fleet))
    await asyncio.sleep(max(0.0, began + 9.2 - time.time()))
    await asyncio.gather(*(process.start() for process in fleet))
    replies = await answers(producer, ids, within=20)
    late_ones = [first for first, *_ in replies.values() if not first.json["ok"]]
    assert len(late_ones) > 20
    for reply in late_ones:
        assert_error(reply, "deadline_exceeded", "not_executed", retryable=True)
        assert reply.json["meta"]["attempts"] == 0
        assert reply.json["call_id"] == reply.properties.correlation_id
    found = await asyncio.gather(*(rows.of(letter) for letter in letters))
    # The others were in hand when their process was killed, and received anew. Killed amid a move,
    # it leaves a call and its copy, and so two letters.
    moved = [
        row for each in found for row in each if abs(row["first_seen"].timestamp() - began) < 5
    ]
    assert moved
    for row in moved:
        assert row["reason"] == "expired"
        assert row["call_id"] in letters
        assert row["headers"][names.HEADER_ORIGIN_EXCHANGE] == names.CALLS_EXCHANGE
        assert row["headers"][names.HEADER_ORIGIN_USER] == rabbitmq_user
        assert row["routing_key"] == "default.interactive"


async def test_overflow_queues_are_visible(
    gateway: Gateway, producer: Producer, waiting: Waiting
) -> None:
    ids = await publish(producer, (read() for _ in range(120)), seconds=60)
    await waiting.at_least(40)
    labels = f'{{bucket="GET {READ}",lane="interactive"}}'
    wanted = ("overflow_depth", "overflow_oldest_seconds", "calls_moved_total")

    async def told() -> list[float]:
        lines = (await gateway.metrics()).splitlines()
        starts = [f"lark_service_{name}{labels} " for name in wanted]
        return [
            float(line.removeprefix(start))
            for start in starts
            for line in lines
            if line.startswith(start)
        ]

    async with asyncio.timeout(10):
        while True:
            if len(values := await told()) == 3 and all(values):
                break
            await asyncio.sleep(0.1)
    assert values[0] < 120
    assert values[1] < 30
    assert 40 <= values[2] <= 120
    await answers(producer, ids, within=30)
