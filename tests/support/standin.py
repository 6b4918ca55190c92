"""The gateway's part played by a few lines: it answers calls without asking Feishu."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiormq
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from consumers.topology import Topology
from schemas import names

Answer = Callable[["Taken"], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Taken:
    """One call as the broker delivered it."""

    call: dict[str, Any]
    properties: spec.Basic.Properties
    routing_key: str

    @property
    def call_id(self) -> str:
        """The call id."""
        return str(self.properties.message_id)

    @property
    def headers(self) -> dict[str, Any]:
        """The AMQP headers."""
        return dict(self.properties.headers or {})


@dataclass(slots=True)
class StandIn:
    """Everything that it took, in order; `answer` may be replaced at any time.

    An answer of None leaves the caller without a reply.
    """

    channel: Channel
    answer: Answer
    taken: list[Taken] = field(default_factory=list)

    @property
    def call_ids(self) -> list[str]:
        """The ids of the calls taken."""
        return [taken.call_id for taken in self.taken]

    async def take(self, message: DeliveredMessage) -> None:
        """Take one call and publish its reply."""
        taken = Taken(json.loads(message.body), message.header.properties, str(message.routing_key))
        self.taken.append(taken)
        reply = self.answer(taken)
        if reply is not None:
            await self.reply(taken, reply)

    async def reply(self, taken: Taken, reply: dict[str, Any]) -> None:
        """Publish a reply, to a caller that asked for one."""
        if taken.properties.reply_to:
            await self.channel.basic_publish(
                json.dumps(reply).encode(),
                routing_key=taken.properties.reply_to,
                properties=spec.Basic.Properties(
                    correlation_id=taken.properties.correlation_id, message_type=names.REPLY_TYPE
                ),
                wait=False,
            )


def success(taken: Taken, data: Any = None) -> dict[str, Any]:
    """The reply to a call that Feishu carried out."""
    return {
        "ok": True,
        "call_id": taken.call_id,
        "response": {
            "status": 200,
            "headers": {},
            "body": {"code": 0, "msg": "success", "data": data or {}},
        },
        "error": None,
        "meta": {"attempts": 1, "duplicate": False},
    }


def failure(taken: Taken, type_: str, **error: Any) -> dict[str, Any]:
    """The reply to a call that failed."""
    common = {"message": f"it is {type_}", "retryable": False, "outcome": "not_executed"}
    return {
        "ok": False,
        "call_id": taken.call_id,
        "response": None,
        "error": {"type": type_, **common, **error},
        "meta": {"attempts": 0, "duplicate": False},
    }


async def declare(url: str, *aliases: str) -> None:
    """Declare what the gateway declares for these apps, with nothing in the queues."""
    connection = await aiormq.connect(url)
    topology = Topology.of(aliases)
    channel = await connection.channel()
    await topology.declare(channel)
    for queue in topology.queues:
        await channel.queue_purge(queue.name)
    await connection.close()


@asynccontextmanager
async def answering(
    url: str, *queues: str, answer: Answer = success, no_ack: bool = True
) -> AsyncIterator[StandIn]:
    """Consume these queues and answer each call."""
    connection = await aiormq.connect(url)
    try:
        channel = cast(Channel, await connection.channel(publisher_confirms=False))
        standin = StandIn(channel, answer)
        for queue in queues:
            await channel.basic_consume(queue, standin.take, no_ack=no_ack)
        yield standin
    finally:
        await connection.close()


def calls_queues(*aliases: str) -> Iterable[str]:
    """The interactive queues of these apps."""
    return [names.calls_queue(alias, "interactive") for alias in aliases]
