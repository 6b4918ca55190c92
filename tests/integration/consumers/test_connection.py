"""Connections to RabbitMQ that are cut, go silent or are refused, and how they come back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from structlog.testing import capture_logs

from consumers import connection
from consumers.codec import Delivery
from consumers.connection import open_channel, open_connection
from consumers.intake import Intake, Source
from consumers.publisher import Published, Publisher
from consumers.topology import Topology
from gateway.metrics import Metrics
from sandbox.stack import Stack
from schemas import names
from tests.support.proxy import Proxy, proxied, through
from tests.support.waiting import eventually

QUEUE = names.calls_queue("default", "bulk")
SOURCES = {"app": Source(Topology.of(["default"]), (QUEUE,))}
Lines = list[MutableMapping[str, Any]]


@pytest.fixture
async def network(rabbitmq_url: str) -> AsyncIterator[Proxy]:
    """What lies between the gateway and RabbitMQ."""
    address = urlsplit(rabbitmq_url)
    async with proxied(str(address.hostname), address.port or 5672) as proxy:
        yield proxy


@pytest.fixture
def far_url(rabbitmq_url: str, network: Proxy) -> str:
    """RabbitMQ by way of that network."""
    return through(network, rabbitmq_url)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as logs:
        yield logs


@asynccontextmanager
async def consuming(
    url: str, taken: list[bytes], gate: asyncio.Event | None = None
) -> AsyncIterator[Intake]:
    """A consumer of the bulk lane, which keeps what it takes in hand until the gate is open."""

    async def take(delivery: Delivery) -> bool:
        taken.append(delivery.body)
        if gate is not None:
            await gate.wait()
        return True

    intake = Intake(url, "calls", lambda: SOURCES, take, Metrics(), prefetch=10)
    task = asyncio.create_task(intake.run())
    try:
        yield intake
        await intake.stop()
        await intake.finish(2)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(url: str, body: bytes) -> None:
    opened = await open_connection(url, "test")
    channel = await open_channel(opened, confirms=True)
    await channel.basic_publish(body, exchange=names.CALLS_EXCHANGE, routing_key="default.bulk")
    await opened.close()


async def test_a_cut_connection_is_made_again_and_consumes_again(
    rabbitmq_url: str, network: Proxy, far_url: str
) -> None:
    taken: list[bytes] = []
    async with consuming(far_url, taken) as intake:
        await eventually(lambda: intake.ready)
        network.cut()
        await eventually(lambda: not intake.ready)
        await eventually(lambda: intake.ready)
        await publish(rabbitmq_url, b"after")
        await eventually(lambda: taken == [b"after"])


async def test_a_channel_that_rabbitmq_closes_is_opened_again_and_its_calls_come_again(
    rabbitmq_url: str, lines: Lines
) -> None:
    taken: list[bytes] = []
    gate = asyncio.Event()
    async with consuming(rabbitmq_url, taken, gate) as intake:
        await eventually(lambda: intake.ready)
        await publish(rabbitmq_url, b"in hand")
        await eventually(lambda: taken == [b"in hand"])
        # An ack that it does not know, which it answers as it does a call held for half an hour.
        await intake._takers._takers[QUEUE]._channel.basic_ack(4711)
        await eventually(lambda: taken == [b"in hand"] * 2)
        gate.set()
        await eventually(lambda: intake.ready and not intake.held)
    assert not [line for line in lines if line["event"] == "connection to RabbitMQ lost"]


def test_a_silent_connection_is_given_up_within_35_seconds() -> None:
    # The library waits for three heartbeats, each a second longer than agreed upon.
    assert 3 * (connection.HEARTBEAT_SECONDS + 1) <= 35


async def test_a_silent_connection_is_given_up_and_made_again(
    rabbitmq_url: str, network: Proxy, far_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_SECONDS", 1)
    taken: list[bytes] = []
    publisher = Publisher(far_url, Metrics(), timeout=0.5)
    publishing = asyncio.create_task(publisher.run())
    async with consuming(far_url, taken) as intake:
        await eventually(lambda: intake.ready and publisher.ready)
        network.hold()
        outcome = await publisher.publish("", "nowhere", b"x", mandatory=False)
        assert outcome is Published.UNKNOWN
        await eventually(lambda: not intake.ready and not publisher.ready, within=20)
        network.release()
        await eventually(lambda: intake.ready and publisher.ready, within=20)
        await publish(rabbitmq_url, b"after")
        await eventually(lambda: taken == [b"after"])
        assert await publisher.publish("", "nowhere", b"x", mandatory=True) is Published.RETURNED
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)


async def test_a_user_that_may_not_is_waited_for_and_the_log_names_what_is_refused(
    rabbitmq_url: str, idle_stack: Stack, lines: Lines
) -> None:
    if idle_stack.is_given("rabbitmq"):
        pytest.skip("RABBITMQ_URL names a broker whose users are not ours to make")
    name, password = f"user-{secrets.token_hex(4)}", secrets.token_hex(8)
    address = urlsplit(rabbitmq_url)
    vhost = address.path.removeprefix("/")
    login = f"{name}:{quote(password)}@{address.hostname}:{address.port}"

    def allow(configure: str) -> None:
        rights = {"configure": configure, "write": ".*", "read": ".*"}
        made = {
            "users": [{"name": name, "tags": "", **_hashed(password)}],
            "permissions": [{"user": name, "vhost": vhost, **rights}],
        }
        idle_stack.rabbitmq.control("import_definitions", stdin=json.dumps(made))

    def refused(words: str) -> bool:
        return any(words in str(line.get("error")) for line in lines)

    async with consuming(address._replace(netloc=login).geturl(), []) as intake:
        await eventually(lambda: len(lines) > 1)
        assert not intake.ready
        await asyncio.to_thread(allow, "^$")
        await eventually(
            lambda: refused(f"ACCESS_REFUSED - access to exchange '{names.DEAD_LETTER_EXCHANGE}'")
        )
        assert not intake.ready
        await asyncio.to_thread(allow, ".*")
        await eventually(lambda: intake.ready)
    assert password not in str(lines)


def _hashed(password: str) -> dict[str, str]:
    """A password as RabbitMQ's definitions have it."""
    salt = secrets.token_bytes(4)
    digest = salt + hashlib.sha256(salt + password.encode()).digest()
    return {
        "password_hash": base64.b64encode(digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
    }
