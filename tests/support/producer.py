"""A producer that speaks plain AMQP, and what it can see of replies and dead letters."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import aiormq
import pytest
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp import commands as spec

from consumers.wire import carry_any_message
from schemas import names
from tests.support.amqp import Exactly, Message
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

ROUTING_KEY = "default.interactive"


class Producer:
    """Publishes calls, and keeps every reply and every dead letter."""

    def __init__(self, connection: aiormq.abc.AbstractConnection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel
        self.replies: list[Message] = []
        self.letters: list[Message] = []

    @classmethod
    async def open(cls, url: str) -> Producer:
        """Connect; the gateway's objects must be there."""
        carry_any_message()
        connection = await aiormq.connect(url)
        channel = cast(Channel, await connection.channel())
        self = cls(connection, channel)
        await channel.basic_consume(names.DIRECT_REPLY_TO, self._take_reply, no_ack=True)
        copies = await connection.channel()
        queue = (await copies.queue_declare(exclusive=True)).queue or ""
        await copies.queue_bind(queue, names.DEAD_LETTER_EXCHANGE)
        await copies.basic_consume(queue, self._take_letter, no_ack=True)
        return self

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def reply_queue(self, name: str, **arguments: Any) -> str:
        """Declare a reply queue, named by the broker if the name is empty; keep what arrives.

        With arguments it rejects what is too much for it.
        """
        channel = await self._connection.channel()
        if arguments:
            arguments["x-overflow"] = "reject-publish"
        declared = await channel.queue_declare(name, exclusive=True, arguments=arguments)
        queue = declared.queue or ""
        await channel.basic_consume(queue, self._take_reply, no_ack=True)
        return queue

    @asynccontextmanager
    async def watched(self, queue: str) -> AsyncIterator[list[Message]]:
        """What arrives in a queue of this name, which is made unless it is another's.

        Nothing is taken from a queue of the gateway or of RabbitMQ: it is left to its consumer.
        """
        arrived: list[Message] = []
        others = ("lark.calls.", "lark.dead", "lark.unrouted", "amq.")
        if queue.isascii() and not queue.startswith(others):
            channel = await self._connection.channel()

            async def take(message: DeliveredMessage) -> None:
                arrived.append(Message.of(message))

            await channel.queue_declare(queue, exclusive=True)
            await channel.basic_consume(queue, take, no_ack=True)
            yield arrived
            await channel.queue_delete(queue)
            await channel.close()
        else:
            yield arrived

    async def send(
        self,
        body: Any,
        *,
        routing_key: str = ROUTING_KEY,
        mandatory: bool = False,
        **properties: Any,
    ) -> None:
        """Publish and wait for the confirm; bytes are sent as they are, all else as JSON.

        Raises aiormq's DeliveryError for what is returned.
        """
        await self._channel.basic_publish(
            body if isinstance(body, bytes) else json.dumps(body).encode(),
            exchange=names.CALLS_EXCHANGE,
            routing_key=routing_key,
            mandatory=mandatory,
            properties=Exactly(**properties),
        )

    async def call(self, body: Any, *, within: float = 10, **properties: Any) -> Message:
        """Publish and return the reply."""
        properties = {
            "reply_to": names.DIRECT_REPLY_TO,
            "correlation_id": secrets.token_hex(8),
            "message_id": f"call-{secrets.token_hex(8)}",
        } | properties
        await self.send(body, **properties)
        return await self.reply_of(properties["correlation_id"], within=within)

    async def reply_of(self, correlation_id: str, *, within: float = 10) -> Message:
        """Wait for the first reply with this correlation id."""
        return await _first(self.replies, _correlated(correlation_id), within)

    async def letter_of(self, correlation_id: str, *, within: float = 10) -> Message:
        """Wait for the gateway's first dead letter with this correlation id."""
        return await _first(self.letters, _correlated(correlation_id), within)

    async def take_and_die(self, queue: str) -> int:
        """Take the first message and lose the channel, until it is gone; returns how often."""
        times = 0
        while True:
            channel = await self._connection.channel()
            got = await channel.basic_get(queue)
            await channel.close()
            if not isinstance(got.delivery, spec.Basic.GetOk):
                return times
            times += 1

    def letters_about(self, reply_to: str) -> list[Message]:
        """The dead letters so far whose replies were to go there."""
        return [letter for letter in self.letters if letter.properties.reply_to == reply_to]

    def letters_of(self, reply: Message) -> list[Message]:
        """The dead letters so far that belong to a reply."""
        return list(filter(_correlated(reply.properties.correlation_id or ""), self.letters))

    async def _take_reply(self, message: DeliveredMessage) -> None:
        self.replies.append(Message.of(message))

    async def _take_letter(self, message: DeliveredMessage) -> None:
        # What the broker dead-letters comes by here too; it is no dead letter of the contract yet.
        if names.HEADER_DEAD_REASON in (message.header.properties.headers or {}):
            self.letters.append(Message.of(message))


def _correlated(correlation_id: str) -> Callable[[Message], bool]:
    return lambda message: message.properties.correlation_id == correlation_id


async def _first(
    messages: list[Message], wanted: Callable[[Message], bool], within: float
) -> Message:
    await eventually(lambda: any(map(wanted, messages)), within=within)
    return next(filter(wanted, messages))


@pytest.fixture(scope="module")
async def producer(gateway: Gateway, rabbitmq_url: str) -> AsyncIterator[Producer]:
    """A producer of calls for this test module's gateway, the token fetched."""
    assert gateway.pid
    client = await Producer.open(rabbitmq_url)
    assert (await client.call(GOOD_CALL)).json["ok"]
    yield client
    await client.close()


@pytest.fixture(scope="module")
def rabbitmq_user(rabbitmq_url: str) -> str:
    """Whom the producer logs in as."""
    return urlsplit(rabbitmq_url).username or ""


GOOD_CALL: Mapping[str, Any] = {
    "method": "GET",
    "path": "/open-apis/contact/v3/users/:user_id",
    "path_params": {"user_id": "ou_good"},
}
