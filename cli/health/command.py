"""`lark-service health`: every part that a gateway needs, each asked within two seconds."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.quiet import be_quiet

from .check import EXIT_CODES, Check, Status, worst
from .rounds import ALL, QUICK, run_round

_MARKS = {
    Status.HEALTHY: "[green]ok[/green]",
    Status.DEGRADED: "[yellow]degraded[/yellow]",
    Status.UNHEALTHY: "[red]unhealthy[/red]",
}


def _flag(text: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(help=text)
    return found


def health_command(
    everything: Annotated[bool, typer.Option("--all", help="Every check; the default.")] = False,
    quick: Annotated[bool, _flag("Only whether the three servers answer.")] = False,
    database: Annotated[bool, _flag("Postgres: schema, long transactions, dead letters.")] = False,
    redis: Annotated[bool, _flag("Redis, and its memory.")] = False,
    rabbitmq: Annotated[bool, _flag("RabbitMQ, the queues and who consumes them.")] = False,
    api: Annotated[bool, _flag("The way to Feishu: DNS, TCP, TLS, HTTP.")] = False,
    tokens: Annotated[bool, _flag("The tokens of all apps.")] = False,
    config: Annotated[bool, _flag("The settings.")] = False,
    disk: Annotated[bool, _flag("The disk of this folder.")] = False,
    memory: Annotated[bool, _flag("The memory of this machine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    exit_on_error: Annotated[
        bool, _flag("For scripts of other services: the exit code tells in any case.")
    ] = False,
) -> None:
    """Say how the parts are. Exit with 0 when all is healthy, 1 when degraded, 2 when unhealthy."""
    del exit_on_error
    named = {
        "database": database,
        "redis": redis,
        "rabbitmq": rabbitmq,
        "api": api,
        "tokens": tokens,
        "config": config,
        "disk": disk,
        "memory": memory,
    }
    wanted = frozenset(name for name, is_wanted in named.items() if is_wanted)
    if everything or not (wanted or quick):
        wanted = ALL
    elif quick:
        wanted |= QUICK
    run_and_tell(wanted, quick=quick and not everything, as_json=as_json)


def preflight_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether a gateway can start here: settings, servers, schema, queues; exits alike."""
    run_and_tell((ALL - {"rabbitmq", "tokens"}) | {"topology"}, quick=False, as_json=as_json)


def run_and_tell(wanted: frozenset[str], *, quick: bool, as_json: bool) -> None:
    """Run the checks of these names, print what they found, and exit with what it comes to."""
    be_quiet()
    checks = asyncio.run(run_round(wanted, quick=quick))
    status = worst(checks)
    if as_json:
        told = [check.as_json() for check in checks]
        document = {"ok": status is Status.HEALTHY, "status": status, "checks": told}
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    else:
        _print(checks, status)
    raise typer.Exit(EXIT_CODES[status])


def _print(checks: list[Check], status: Status) -> None:
    table = Table("check", "status", "found")
    for check in checks:
        hint = f"\n→ {check.hint}" if check.hint else ""
        table.add_row(check.name, _MARKS[check.status], f"{check.message}{hint}")
    console = Console()
    console.print(table)
    console.print(f"Altogether: {status}")
