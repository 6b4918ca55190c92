"""`lark-service topology`: the broker objects, shown or declared."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from aiormq.exceptions import AMQPError
from rich.console import Console
from rich.table import Column, Table

from consumers.topology import Topology
from gateway.apps import DEFAULT_ALIAS
from schemas import names

from .broker import broker_url, open_broker, place_of, reason_of
from .exits import CANNOT_REACH, USAGE, CommandFailed

DECLARE_SECONDS = 30.0

app = typer.Typer(help="The exchanges, queues and bindings in RabbitMQ.", no_args_is_help=True)

Aliases = Annotated[list[str], typer.Option("--app", help="An app's alias; again for more.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def show(
    aliases: Aliases = [DEFAULT_ALIAS],  # noqa: B006  typer copies it
    vhost: Annotated[str, typer.Option(help="The virtual host that the JSON names.")] = "/",
    as_json: AsJson = False,
) -> None:
    """Show what the gateway declares; --json prints RabbitMQ's definitions, for import at boot."""
    topology = _topology(aliases)
    if as_json:
        sys.stdout.write(json.dumps(topology.definitions(vhost), indent=2) + "\n")
        return
    console = Console()
    exchanges = _table("exchange", "type", "arguments")
    for exchange in topology.exchanges:
        exchanges.add_row(exchange.name, exchange.type, _told(exchange.arguments))
    queues = _table("queue", "arguments")
    for queue in topology.queues:
        queues.add_row(queue.name, _told(queue.arguments))
    bindings = _table("exchange", "routing key", "queue")
    for binding in topology.bindings:
        bindings.add_row(binding.exchange, binding.routing_key, binding.queue)
    for table in (exchanges, queues, bindings):
        console.print(table)


@app.command()
def apply(
    aliases: Aliases = [DEFAULT_ALIAS],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Declare it all on the broker of RABBITMQ_URL; what is there already stays as it is."""
    topology, url = _topology(aliases), broker_url()
    asyncio.run(declare(topology, url))
    counts = {
        "exchanges": len(topology.exchanges),
        "queues": len(topology.queues),
        "bindings": len(topology.bindings),
    }
    if as_json:
        sys.stdout.write(json.dumps({"ok": True} | counts) + "\n")
        return
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    sys.stdout.write(f"Declared on {place_of(url)}: {told}.\n")


async def declare(topology: Topology, url: str) -> None:
    """Declare the objects on the broker; raises CommandFailed."""
    async with open_broker(url) as connection:
        try:
            async with asyncio.timeout(DECLARE_SECONDS):
                await topology.declare(await connection.channel())
        except TimeoutError as error:
            raise CommandFailed(
                CANNOT_REACH, f"RabbitMQ at {place_of(url)} takes too long to declare the objects."
            ) from error
        except AMQPError as error:
            raise CommandFailed(
                USAGE, f"RabbitMQ at {place_of(url)} refuses: {reason_of(error)}"
            ) from error


def _topology(aliases: list[str]) -> Topology:
    for alias in aliases:
        if not names.ALIAS.fullmatch(alias):
            raise CommandFailed(
                USAGE, "--app: must be an alias of a-z 0-9 _ -, at most 64 characters"
            )
    return Topology.of(dict.fromkeys(aliases))


def _table(*columns: str) -> Table:
    return Table(*(Column(name, overflow="fold") for name in columns))


def _told(arguments: object) -> str:
    pairs = arguments.items() if isinstance(arguments, dict) else ()
    return ", ".join(f"{name.removeprefix('x-')}={value}" for name, value in pairs)
