"""A producer for one command: it keeps the reply as it came, which the Python client does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote

import aiormq
from aiormq import exceptions as broker
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from yarl import URL

from schemas import names

from .broker import open_broker, reason_of
from .exits import CANNOT_REACH, FAILED, USAGE, CommandFailed

GRACE_SECONDS = 3.0
"""How long after its deadline a reply may come: 1 s of the contract and 2 s between two clocks."""
CONFIRM_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """What a producer publishes to `lark.calls`; *seconds* is the time that the call has."""

    call_id: str
    body: bytes
    seconds: float
    alias: str = "default"
    lane: names.Lane = "interactive"

    @property
    def routing_key(self) -> str:
        """App and lane, by which the broker finds the queue."""
        return f"{self.alias}.{self.lane}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it came; *seconds* is how long it took."""

    body: bytes
    properties: spec.Basic.Properties
    seconds: float


class Producer:
    """One channel, for any number of calls at the same time."""

    def __init__(self, channel: Channel, user: str | None) -> None:
        self._channel = channel
        self._user = user
        self._waiting: dict[str, asyncio.Future[DeliveredMessage | None]] = {}
        channel.closing.add_done_callback(lambda _: self._end())

    async def call(self, message: Message) -> Reply:
        """Publish a call and wait for its reply; raises CommandFailed."""
        properties = self.properties(message)
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[message.call_id] = waiting
        began = time.monotonic()
        try:
            await self._publish(message, properties)
            async with asyncio.timeout(message.seconds + GRACE_SECONDS):
                delivered = await waiting
        except TimeoutError as error:
            raise CommandFailed(
                CANNOT_REACH,
                f"No gateway answered within {message.seconds:g} s: is `lark-service serve` "
                f"running with this RABBITMQ_URL? The call id is {message.call_id}.",
            ) from error
        finally:
            del self._waiting[message.call_id]
        if delivered is None:
            raise _lost(message)
        return Reply(delivered.body, delivered.header.properties, time.monotonic() - began)

    def properties(self, message: Message) -> spec.Basic.Properties:
        """The properties that the contract asks for, as of now."""
        milliseconds = max(1, int(message.seconds * 1000))
        return spec.Basic.Properties(
            message_id=message.call_id,
            message_type=names.CALL_TYPE,
            content_type=names.CONTENT_TYPE,
            delivery_mode=2,
            reply_to=names.DIRECT_REPLY_TO,
            correlation_id=message.call_id,
            expiration=str(milliseconds),
            headers={names.HEADER_DEADLINE: int(time.time() * 1000) + milliseconds},
            user_id=self._user,
        )

    async def _publish(self, message: Message, properties: spec.Basic.Properties) -> None:
        with _told(message):
            await self._channel.basic_publish(
                message.body,
                exchange=names.CALLS_EXCHANGE,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=True,
                timeout=CONFIRM_SECONDS,
                wait=False,
            )

    async def start(self) -> None:
        """Take replies; before the first publish, or the broker refuses it."""
        await self._channel.basic_consume(names.DIRECT_REPLY_TO, self._on_reply, no_ack=True)

    async def _on_reply(self, delivered: DeliveredMessage) -> None:
        waiting = self._waiting.get(delivered.header.properties.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(delivered)

    def _end(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)


@asynccontextmanager
async def open_producer(url: str) -> AsyncIterator[Producer]:
    """Connect to RabbitMQ and take replies; raises CommandFailed."""
    async with open_broker(url) as connection:
        yield await producer_on(connection, url)


async def producer_on(connection: aiormq.Connection, url: str) -> Producer:
    """A producer with a channel of its own."""
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    # Only who logs in with a name may state it: a certificate's name is not in the URL.
    user = URL(url).raw_user
    producer = Producer(cast(Channel, channel), unquote(user) if user else None)
    await producer.start()
    return producer


@contextmanager
def _told(message: Message) -> Iterator[None]:
    try:
        yield
    except broker.ChannelNotFoundEntity as error:
        raise CommandFailed(
            CANNOT_REACH,
            f"RabbitMQ has no exchange {names.CALLS_EXCHANGE} yet: `lark-service serve` declares "
            "it when it starts, and `lark-service topology apply` without it.",
        ) from error
    except broker.PublishError as error:
        raise CommandFailed(
            CANNOT_REACH, f"No queue takes {message.routing_key}: is it the right --app?"
        ) from error
    except broker.DeliveryError as error:
        raise CommandFailed(
            FAILED, "RabbitMQ does not take the call: its queue is full. Try again later."
        ) from error
    except broker.AMQPChannelError as error:
        raise CommandFailed(USAGE, f"RabbitMQ refuses the call: {reason_of(error)}") from error
    except TimeoutError as error:
        raise CommandFailed(
            CANNOT_REACH,
            f"RabbitMQ did not confirm the call within {CONFIRM_SECONDS:.0f} s: is it short of "
            f"memory or disk? The call id is {message.call_id}.",
        ) from error
    except asyncio.CancelledError as error:
        # A dying connection cancels the wait for the confirm, which is no cancellation of ours.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise _lost(message) from error
    except (broker.AMQPError, OSError, RuntimeError) as error:
        raise _lost(message) from error


def _lost(message: Message) -> CommandFailed:
    return CommandFailed(
        CANNOT_REACH,
        "The connection to RabbitMQ was lost before the reply came; the call may have been made. "
        f"Its call id is {message.call_id}.",
    )
