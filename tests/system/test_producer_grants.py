"""A producer does what it is granted, at the broker and in the gateway, and nothing else."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiormq
import pytest
from aiormq import exceptions as broker

from gateway.database import Database
from sandbox.feishu import DEFAULT_APP_ID, SandboxFeishu
from sandbox.stack import Stack
from schemas import names
from tests.support.amqp import Exactly, Message
from tests.support.apps import SECRET_KEY, Registry
from tests.support.calls import READ, SEND, change, read, send
from tests.support.command import Ran, run
from tests.support.gateway import Gateway, api_requests
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer
from tests.support.waiting import eventually

NAME = "bil.ling-1"
"""A name in which a pattern would find more than itself."""
GRANTED = ("--app", "default", "--api", f"GET {READ}", "--api", f"POST {SEND}")


class Site:
    """Commands of an operator, and the RabbitMQ user of one producer."""

    def __init__(self, stack: Stack, settings: dict[str, str], folder: Path) -> None:
        self._stack = stack
        self._settings = settings
        self._folder = folder
        self._password = secrets.token_hex(8)

    async def run(self, *words: str) -> Ran:
        names = ("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_")
        settings = {k: v for k, v in self._settings.items() if k.startswith(names)}
        return await run("producer", *words, folder=self._folder, **settings)

    def add_user(self) -> None:
        self._stack.rabbitmq.control("add_user", NAME, stdin=self._password)

    def obey(self, commands: list[str]) -> None:
        """Run what the command printed."""
        for command in commands:
            program, *words = shlex.split(command)
            assert program == "rabbitmqctl"
            self._stack.rabbitmq.control(*words)

    @property
    def url(self) -> str:
        parts = urlsplit(self._settings["RABBITMQ_URL"])
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{quote(NAME)}:{self._password}@{host}").geturl()


@pytest.fixture(scope="module")
def gateway_environment(gateway_environment: dict[str, str]) -> dict[str, str]:
    return gateway_environment | {"LARK_SERVICE_SECRET_KEY": SECRET_KEY}


@pytest.fixture(scope="module", autouse=True)
async def site(
    gateway: Gateway,
    producer: Producer,
    gateway_environment: dict[str, str],
    idle_stack: Stack,
    simulated: SandboxFeishu,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """Two apps, and one producer that may read and send for one of them."""
    if idle_stack.is_given("rabbitmq"):
        pytest.skip("users are made in a private RabbitMQ alone")
    made = Site(idle_stack, gateway_environment, tmp_path_factory.mktemp("site"))
    database = Database(gateway_environment["DATABASE_URL"])
    await Registry(database, simulated).add("hr")
    await database.close()
    made.add_user()
    granted = await made.run("grant", NAME, *GRANTED, "--yes", "--json")
    assert granted.code == 0, granted.err
    made.obey(granted.json["permissions"]["commands"])
    queue = names.retry_queue("hr")
    await eventually(lambda: any(queue in entry["queues"] for entry in gateway.events("consuming")))
    await eventually(lambda: any(e["grants"] for e in gateway.events("producer grants read")))
    return made


class Client:
    """The producer: one connection with its own user and no more rights than it needs."""

    def __init__(self, connection: aiormq.Connection) -> None:
        self.connection = connection
        self.replies: dict[str, Message] = {}

    async def call(self, body: Any, reply_to: str, **properties: Any) -> Message:
        channel = await self.connection.channel(publisher_confirms=True)
        await channel.basic_consume(reply_to, self._take, no_ack=True)
        correlation_id = secrets.token_hex(8)
        given = {"user_id": NAME, "reply_to": reply_to, "message_id": correlation_id} | properties
        await channel.basic_publish(
            json.dumps(body).encode(),
            exchange=names.CALLS_EXCHANGE,
            routing_key="default.interactive",
            properties=Exactly(correlation_id=correlation_id, **given),
        )
        await eventually(lambda: correlation_id in self.replies)
        await channel.close()
        return self.replies[correlation_id]

    async def may(self, what: str, *words: Any, **how: Any) -> bool:
        """Whether the broker lets the user do something on a channel."""
        channel = await self.connection.channel(publisher_confirms=True)
        try:
            await getattr(channel, what)(*words, **how)
        except (broker.ChannelAccessRefused, broker.ChannelPreconditionFailed):
            return False
        await channel.close()
        return True

    async def may_publish(self, exchange: str, key: str, **properties: Any) -> bool:
        given = Exactly(**properties)
        how = {"exchange": exchange, "routing_key": key, "properties": given}
        return await self.may("basic_publish", b"x", **how)

    async def _take(self, message: aiormq.abc.DeliveredMessage) -> None:
        self.replies[message.header.properties.correlation_id or ""] = Message.of(message)


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    connection = aiormq.Connection(site.url)
    await connection.connect()
    yield Client(connection)
    await connection.close()


async def test_with_the_printed_permissions_a_user_calls_and_gets_its_replies(
    client: Client,
) -> None:
    channel = await client.connection.channel()
    queues = [names.DIRECT_REPLY_TO]
    for name in (f"lark.reply.{NAME}.1", ""):
        declared = await channel.queue_declare(name, exclusive=True)
        assert declared.queue is not None
        queues.append(declared.queue)
    for queue in queues:
        assert (await client.call(read(), queue)).json["ok"]


async def test_a_user_with_the_printed_permissions_publishes_nothing_else(client: Client) -> None:
    own = ("lark.dlx", "lark.reenter", "lark.overflow", "lark.unrouted")
    for exchange in (*own, *map(names.rung, names.RUNGS), "amq.topic"):
        assert not await client.may_publish(exchange, "default.interactive"), exchange
    for queue in ("lark.dead", "lark.calls.default.bulk", f"lark.reply.{NAME}.1"):
        assert not await client.may_publish("", queue), queue
    for key in ("hr.interactive", "default2.bulk", "default.retry", "default", "xdefault.bulk"):
        assert not await client.may_publish("lark.calls", key), key
    assert not await client.may_publish("lark.calls", "default.bulk", user_id="lark")


async def test_a_user_with_the_printed_permissions_has_no_other_queue(client: Client) -> None:
    for queue in ("mine", "lark.reply.other.1", "lark.reply.bilxling-1.1", "lark.calls.mine"):
        assert not await client.may("queue_declare", queue), queue
    for queue in ("lark.dead", "lark.calls.default.bulk", "lark.unrouted", "lark.retry.1s"):
        assert not await client.may("basic_get", queue), queue
        assert not await client.may("queue_purge", queue), queue
    assert not await client.may("exchange_declare", "mine")
    channel = await client.connection.channel()
    own = (await channel.queue_declare("", exclusive=True)).queue or ""
    for exchange in ("lark.dlx", "lark.calls"):
        assert not await client.may("queue_bind", own, exchange, "#"), exchange


async def test_what_is_not_granted_is_refused_and_dead(
    client: Client, producer: Producer, simulated: SandboxFeishu
) -> None:
    since = simulated.world.ledger.last_number
    for body in (change(), read(**{"as": {"user": "ou_1"}})):
        reply = await client.call(body, names.DIRECT_REPLY_TO)
        assert_error(reply, "forbidden", "not_executed", retryable=False)
        assert f"lark-service producer grant {NAME} --app default" in reply.error["message"]
        letter = await producer.letter_of(reply.properties.correlation_id or "")
        assert letter.headers["lark-dead-reason"] == "forbidden"
        assert letter.headers["lark-origin-user"] == NAME
    assert api_requests(simulated, since) == []


@pytest.mark.parametrize("user", [None, "lark"])
async def test_nobody_else_may_call_anything(
    user: str | None, producer: Producer, rabbitmq_user: str
) -> None:
    properties = {} if user is None else {"user_id": rabbitmq_user}
    reply = await producer.call(read(), **properties)
    assert_error(reply, "forbidden", "not_executed", retryable=False)


async def test_the_rules_before_and_after_the_grants_keep_their_order(
    producer: Producer,
) -> None:
    past = {"headers": {"lark-deadline": 1}}
    assert (await producer.call(change(), **past)).error["type"] == "forbidden"
    assert (await producer.call({"method": "GET"}, **past)).error["type"] == "invalid_call"
    foreign = read(**{"as": {"tenant": "t"}})
    assert (await producer.call(foreign, **past)).error["type"] == "invalid_call"


async def test_a_copy_to_another_app_that_the_broker_lets_through_is_refused(
    client: Client, producer: Producer, simulated: SandboxFeishu
) -> None:
    magic = unique("oc_bcc")
    # RabbitMQ up to 4.0.2 looks at the first routing key alone; later ones refuse the publish.
    with suppress(broker.ChannelAccessRefused):
        headers = {"BCC": ["hr.interactive"]}
        reply = await client.call(send(magic), names.DIRECT_REPLY_TO, headers=headers)
        correlation_id = reply.properties.correlation_id or ""
        letter = await producer.letter_of(correlation_id)
        assert letter.headers["lark-dead-reason"] == "forbidden"
        assert "'hr'" in letter.dead_error["message"]
    assert {entry["app_id"] for entry in requests_of(simulated, magic)} <= {DEFAULT_APP_ID}


async def test_forged_headers_of_the_gateway_make_nobody_another(
    producer: Producer, rabbitmq_user: str
) -> None:
    forged = {
        "lark-origin-user": NAME,
        "lark-member": "default",
        "lark-attempts": 1,
        "lark-first-seen": 1,
        "x-death": [{"queue": "lark.calls.default.retry", "reason": "rejected", "count": 1}],
    }
    reply = await producer.call(read(), user_id=rabbitmq_user, headers=forged)
    assert_error(reply, "forbidden", "not_executed", retryable=False)


async def test_a_copy_of_the_gateways_has_the_rights_of_its_producer(
    producer: Producer, rabbitmq_url: str
) -> None:
    connection = await aiormq.connect(rabbitmq_url)
    channel = await connection.channel()

    async def copied(origin: str | None, **headers: int) -> Message:
        correlation_id = secrets.token_hex(8)
        known = {} if origin is None else {"lark-origin-user": origin}
        await channel.basic_publish(
            json.dumps(read()).encode(),
            exchange=names.REENTER_EXCHANGE,
            routing_key="default.interactive",
            properties=Exactly(
                reply_to=reply_to, correlation_id=correlation_id, headers=known | headers
            ),
        )
        return await producer.reply_of(correlation_id)

    reply_to = await producer.reply_queue("")
    assert (await copied(NAME)).json["ok"]
    for nobody in ("nobody", None):
        refused = await copied(nobody)
        assert_error(refused, "forbidden", "not_executed", retryable=False)
    sent_before = await copied("nobody", **{"lark-attempts": 1})
    assert_error(sent_before, "outcome_unknown", "unknown", retryable=False)
    await connection.close()


async def test_what_is_revoked_is_refused_and_the_last_grant_needs_a_word_more(
    site: Site, client: Client, producer: Producer, rabbitmq_url: str
) -> None:
    vhost = unquote(urlsplit(rabbitmq_url).path[1:])
    asked = await site.run("revoke", NAME, "--app", "default")
    assert asked.code == 2
    assert "last grant" in asked.err
    listed = await site.run("list", "--json")
    (told,) = listed.json["producers"]
    assert [grant["api"] for grant in told["grants"]] == [f"GET {READ}", f"POST {SEND}"]
    assert told["permissions"]["vhost"] == vhost

    taken = await site.run("revoke", NAME, "--app", "default", "--api", f"GET {READ}")
    assert taken.code == 0, taken.err
    while (await client.call(read(), names.DIRECT_REPLY_TO)).json["ok"]:
        pass
    assert (await client.call(send(), names.DIRECT_REPLY_TO)).json["ok"]

    all_taken = await site.run("revoke", NAME, "--yes", "--json")
    assert all_taken.json["grants"] == []
    assert "clear_permissions" in all_taken.json["permissions"]["commands"][0]
    while not (await producer.call(change())).json["ok"]:
        pass
    shown = await site.run("list")
    assert "every producer may call everything" in shown.out
