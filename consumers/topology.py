"""The broker objects of the contract, as data; declares them and prints them as definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelPreconditionFailed

from gateway.errors import ConfigError
from schemas import names

DELIVERY_LIMIT = 20
"""RabbitMQ 4's default, given to 3.10 too; it also keeps a requeued message in its place there."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """A queue bound to an exchange."""

    exchange: str
    queue: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topology:
    """Objects in the order of their declaration: the failure path first, intake last."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    @classmethod
    def of(cls, aliases: Iterable[str]) -> Topology:
        """All objects for these apps and pools."""
        shared, parts = cls.shared(), [cls.of_app(alias) for alias in aliases]
        return cls(
            exchanges=shared.exchanges,
            queues=(*shared.queues, *(queue for part in parts for queue in part.queues)),
            bindings=(*shared.bindings, *(each for part in parts for each in part.bindings)),
        )

    @classmethod
    def shared(cls) -> Topology:
        """What belongs to no app."""
        return cls(tuple(_exchanges()), tuple(_shared_queues()), tuple(_shared_bindings()))

    @classmethod
    def of_app(cls, alias: str) -> Topology:
        """What one app or pool has of its own; to be declared after what is shared."""
        return cls((), tuple(_app_queues(alias)), tuple(_app_bindings(alias)))

    def definitions(self, vhost: str = "/") -> dict[str, Any]:
        """The same objects in RabbitMQ's definitions format, for import at boot."""
        return {
            "vhosts": [{"name": vhost}],
            "exchanges": [
                {
                    "name": exchange.name,
                    "vhost": vhost,
                    "type": exchange.type,
                    "durable": True,
                    "auto_delete": False,
                    "internal": False,
                    "arguments": dict(exchange.arguments),
                }
                for exchange in self.exchanges
            ],
            "queues": [
                {
                    "name": queue.name,
                    "vhost": vhost,
                    "durable": True,
                    "auto_delete": False,
                    "arguments": dict(queue.arguments),
                }
                for queue in self.queues
            ],
            "bindings": [
                {
                    "source": binding.exchange,
                    "vhost": vhost,
                    "destination": binding.queue,
                    "destination_type": "queue",
                    "routing_key": binding.routing_key,
                    "arguments": dict(binding.arguments),
                }
                for binding in self.bindings
            ],
        }

    async def declare(self, channel: AbstractChannel) -> None:
        """Declare all of it; *channel* is a throw-away one, since a conflict closes it."""
        what = ""
        try:
            for exchange in self.exchanges:
                what = f"exchange {exchange.name}"
                await channel.exchange_declare(
                    exchange.name,
                    exchange_type=exchange.type,
                    durable=True,
                    arguments=dict(exchange.arguments),
                )
            for queue in self.queues:
                what = f"queue {queue.name}"
                await channel.queue_declare(
                    queue.name, durable=True, arguments=dict(queue.arguments)
                )
            for binding in self.bindings:
                await channel.queue_bind(
                    binding.queue,
                    binding.exchange,
                    routing_key=binding.routing_key,
                    arguments=dict(binding.arguments),
                )
        except ChannelPreconditionFailed as error:
            raise ConfigError(
                f"RabbitMQ holds {what} with other arguments than the gateway's ({error}). "
                "Drain and delete it, or import rabbitmq/definitions.json on a fresh vhost."
            ) from error


def overflow(queue: str) -> Topology:
    """One overflow queue and how it is reached; the copies in it keep their routing keys."""
    only_named = {"x-match": "all", names.HEADER_OVERFLOW: queue}
    return Topology(
        exchanges=(_OVERFLOW_EXCHANGE,),
        queues=(Queue(queue, _dead_lettering()),),
        bindings=(Binding(names.OVERFLOW_EXCHANGE, queue, arguments=only_named),),
    )


# No alternate exchange: a copy that leads to no queue is to come back to who published it.
_OVERFLOW_EXCHANGE = Exchange(names.OVERFLOW_EXCHANGE, "headers")


def _exchanges() -> Iterator[Exchange]:
    unrouted = {"alternate-exchange": names.UNROUTED}
    yield Exchange(names.DEAD_LETTER_EXCHANGE, "fanout")
    yield Exchange(names.UNROUTED, "fanout")
    yield Exchange(names.REENTER_EXCHANGE, "topic", unrouted)
    for seconds in names.RUNGS:
        yield Exchange(names.rung(seconds), "fanout")
    yield _OVERFLOW_EXCHANGE
    yield Exchange(names.CALLS_EXCHANGE, "topic", unrouted)


def _quorum(**arguments: Any) -> dict[str, Any]:
    # Dead-lettering is at least once only with a quorum queue that rejects when it is full.
    return {"x-queue-type": "quorum", "x-overflow": "reject-publish"} | {
        f"x-{name.replace('_', '-')}": value for name, value in arguments.items()
    }


def _dead_lettering(**arguments: Any) -> dict[str, Any]:
    return _quorum(
        dead_letter_exchange=names.DEAD_LETTER_EXCHANGE,
        dead_letter_strategy="at-least-once",
        delivery_limit=DELIVERY_LIMIT,
        **arguments,
    )


def _shared_queues() -> Iterator[Queue]:
    # Nothing takes over from the dead-letter queue: RabbitMQ 4's default limit of 20 deliveries
    # would drop what it gives up, and 3.10 does not know -1 for none.
    yield Queue(names.DEAD_LETTER_QUEUE, _quorum(delivery_limit=1_000_000))
    yield Queue(names.UNROUTED, _dead_lettering())
    for seconds in names.RUNGS:
        yield Queue(
            names.rung(seconds),
            _quorum(
                message_ttl=seconds * 1000,
                dead_letter_exchange=names.REENTER_EXCHANGE,
                dead_letter_strategy="at-least-once",
            ),
        )


def _app_queues(alias: str) -> Iterator[Queue]:
    yield Queue(names.retry_queue(alias), _dead_lettering())
    for lane in names.LANES:
        yield Queue(names.calls_queue(alias, lane), _dead_lettering())


def _shared_bindings() -> Iterator[Binding]:
    yield Binding(names.DEAD_LETTER_EXCHANGE, names.DEAD_LETTER_QUEUE)
    yield Binding(names.UNROUTED, names.UNROUTED)
    for seconds in names.RUNGS:
        yield Binding(names.rung(seconds), names.rung(seconds))


def _app_bindings(alias: str) -> Iterator[Binding]:
    yield Binding(names.REENTER_EXCHANGE, names.retry_queue(alias), f"{alias}.#")
    for lane in names.LANES:
        yield Binding(names.CALLS_EXCHANGE, names.calls_queue(alias, lane), f"{alias}.{lane}.#")
