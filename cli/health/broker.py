"""RabbitMQ and our queues. Without it no call comes in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import aiormq
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed

from cli.broker import open_broker, place_of, reason_of
from cli.exits import CommandFailed
from consumers.topology import Queue, Topology
from schemas import names

from .check import Check, degraded, healthy, unhealthy

DEEP: Final = 1000
TOO_DEEP: Final = 5000
MANY_DEAD: Final = 100
"""Messages; what is dead is moved to Postgres and does not stay in its queue."""


LOOK_SECONDS: Final = 1.0
"""How long queues are asked about one after the other: of very many apps, the first ones."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue now; None where there is no such queue."""

    messages: int | None
    consumers: int = 0


async def rabbitmq(url: str, aliases: Iterable[str], *, quick: bool = False) -> list[Check]:
    """Whether RabbitMQ takes us in; and unless *quick*, the queues of these apps."""
    asked_at = time.monotonic()
    try:
        async with open_broker(url) as connection:
            took = (time.monotonic() - asked_at) * 1000
            found = [healthy("rabbitmq", f"answers in {took:.0f} ms", milliseconds=round(took, 1))]
            if not quick:
                queues = [queue.name for queue in Topology.of(aliases).queues]
                depths = await _depths(connection, queues)
                found += of_depths(depths, unseen=len(queues) - len(depths))
            return found
    except CommandFailed as error:
        return [unhealthy("rabbitmq", str(error), "start RabbitMQ, or mend RABBITMQ_URL")]
    except (AMQPError, OSError) as error:
        message = f"RabbitMQ at {place_of(url)} refuses: {reason_of(error)}"
        return [unhealthy("rabbitmq", message)]


async def _depths(connection: aiormq.Connection, queues: list[str]) -> dict[str, Depth]:
    found = {}
    channel = await connection.channel()
    for queue in _for_a_while(queues):
        try:
            declared = await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            found[queue] = Depth(None)
            channel = await connection.channel()
        else:
            found[queue] = Depth(declared.message_count or 0, declared.consumer_count or 0)
    return found


def _for_a_while(items: Sequence[T]) -> Iterator[T]:
    until = time.monotonic() + LOOK_SECONDS
    for item in items:
        if time.monotonic() >= until:
            return
        yield item


def of_depths(queues: dict[str, Depth], *, unseen: int = 0) -> list[Check]:
    """Judge the depth of the queues and who consumes them; *unseen* others were not asked about."""
    facts = {
        name: {"messages": depth.messages, "consumers": depth.consumers}
        for name, depth in queues.items()
    }
    missing = [name for name, depth in queues.items() if depth.messages is None]
    if missing:
        message = f"{len(missing)} of {len(queues)} are missing, such as {missing[0]}"
        return [degraded("queues", message, "start a gateway: it declares them", queues=facts)]
    dead = queues.get(names.DEAD_LETTER_QUEUE, Depth(0))
    waiting = {name: depth for name, depth in queues.items() if _is_consumed(name)}
    return [_of_waiting(waiting, facts, unseen), _of_dead(dead.messages or 0)]


def _is_consumed(queue: str) -> bool:
    # Rungs are left by time alone.
    return queue.startswith(f"{names.CALLS_EXCHANGE}.")


def _of_waiting(
    queues: dict[str, Depth], facts: dict[str, dict[str, int | None]], unseen: int
) -> Check:
    total = sum(depth.messages or 0 for depth in queues.values())
    name, deepest = max(queues.items(), key=lambda item: item[1].messages or 0)
    most = deepest.messages or 0
    message = f"{total} calls wait in {len(queues)} queues"
    if unseen:
        message += f", {unseen} more were not asked about"
    if total:
        message += f", {most} of them in {name}"
    orphans = [queue for queue, depth in queues.items() if not depth.consumers]
    if orphans:
        message += f"; nobody consumes {', '.join(orphans)}"
        return degraded("queues", message, "lark-service serve", queues=facts)
    if most >= DEEP:
        found = unhealthy if most >= TOO_DEEP else degraded
        return found("queues", message, "lark-service limits", queues=facts)
    return healthy("queues", message, queues=facts)


def _of_dead(messages: int) -> Check:
    message = f"{messages} wait to be moved to Postgres"
    if messages > MANY_DEAD:
        return degraded("dead-letter-queue", message, "is Postgres away?", messages=messages)
    return healthy("dead-letter-queue", message, messages=messages)


async def topology(url: str, aliases: Iterable[str]) -> list[Check]:
    """Whether what RabbitMQ has fits what a gateway declares when it starts."""
    wanted = Topology.of(aliases)
    try:
        async with open_broker(url) as connection:
            missing, different, compared = await _compared(connection, wanted.queues)
    except CommandFailed as error:
        return [unhealthy("topology", str(error))]
    except (AMQPError, OSError) as error:
        return [unhealthy("topology", f"RabbitMQ at {place_of(url)} refuses: {reason_of(error)}")]
    if different:
        message = f"other arguments than ours: {', '.join(different)}"
        return [unhealthy("topology", message, "drain and delete it; a gateway declares it anew")]
    fit = compared - len(missing)
    message = f"{fit} queues fit, {len(missing)} are declared at the start"
    if unseen := len(wanted.queues) - compared:
        message += f", {unseen} more were not asked about"
    return [healthy("topology", message, missing=missing)]


async def _compared(
    connection: aiormq.Connection, queues: Sequence[Queue]
) -> tuple[list[str], list[str], int]:
    """The queues that are missing, those that have other arguments, and how many were compared."""
    missing, different, compared = [], [], 0
    channel = await connection.channel()
    for compared, queue in enumerate(_for_a_while(queues), start=1):  # noqa: B007
        try:
            await channel.queue_declare(queue.name, passive=True)
            # Only compares, since it is there.
            await channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
        except ChannelNotFoundEntity:
            missing.append(queue.name)
        except ChannelPreconditionFailed:
            different.append(queue.name)
        else:
            continue
        channel = await connection.channel()
    return missing, different, compared
