"""A broker that the environment names may be somebody's: the demo must take no call from it."""

from __future__ import annotations

from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from cli.broker import open_broker, place_of, reason_of
from cli.exits import USAGE, CommandFailed
from consumers.topology import Topology
from gateway.apps import DEFAULT_ALIAS


async def refuse_foreign_calls(url: str) -> None:
    """Raise CommandFailed where a queue of the gateway holds messages or is consumed from."""
    async with open_broker(url) as connection:
        for queue in Topology.of([DEFAULT_ALIAS]).queues:
            channel = await connection.channel()
            try:
                found = await channel.queue_declare(queue.name, passive=True)
            except ChannelNotFoundEntity:
                continue
            except AMQPError as error:
                raise CommandFailed(
                    USAGE, f"The demo may not look at {queue.name}: {reason_of(error)}"
                ) from error
            await channel.close()
            if found.message_count or found.consumer_count:
                raise CommandFailed(
                    USAGE,
                    f"The queue {queue.name} at {place_of(url)} holds {found.message_count} "
                    f"messages and has {found.consumer_count} consumers. The demo would answer "
                    "those calls itself: unset RABBITMQ_URL, or name a virtual host for the demo.",
                )
