"""`lark-service health`: every part that a gateway needs, each asked within two seconds."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.quiet import be_quiet

from .check import EXIT_CODES, SECONDS, Check, Status, worst
from .rounds import ALL, QUICK, run_round

_MARKS = {
    Status.HEALTHY: Text("ok", "green"),
    Status.DEGRADED: Text("degraded", "yellow"),
    Status.UNHEALTHY: Text("unhealthy", "red"),
}

All = Annotated[bool, typer.Option("--all", help="Every check; the default.")]
Quick = Annotated[bool, typer.Option("--quick", help="Only whether the three servers answer.")]
Postgres = Annotated[
    bool, typer.Option("--database", help="Postgres: schema, long transactions, dead letters.")
]
Redis = Annotated[bool, typer.Option("--redis", help="Redis, and its memory.")]
RabbitMQ = Annotated[
    bool, typer.Option("--rabbitmq", help="RabbitMQ, the queues and who consumes them.")
]
Api = Annotated[bool, typer.Option("--api", help="The way to Feishu: DNS, TCP, TLS, HTTP.")]
Tokens = Annotated[bool, typer.Option("--tokens", help="The tokens of all apps.")]
Settings = Annotated[bool, typer.Option("--config", help="The settings.")]
Disk = Annotated[bool, typer.Option("--disk", help="The disk of this folder.")]
Memory = Annotated[bool, typer.Option("--memory", help="The memory of this machine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seconds = Annotated[
    float, typer.Option("--timeout", help="Seconds that one check may take.", min=0.1)
]
ExitOnError = Annotated[
    bool, typer.Option("--exit-on-error", help="Changes nothing: the exit code always tells.")
]


def health_command(
    everything: All = False,
    quick: Quick = False,
    database: Postgres = False,
    redis: Redis = False,
    rabbitmq: RabbitMQ = False,
    api: Api = False,
    tokens: Tokens = False,
    config: Settings = False,
    disk: Disk = False,
    memory: Memory = False,
    as_json: AsJson = False,
    timeout: Seconds = SECONDS,
    exit_on_error: ExitOnError = False,
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
    run_and_tell(wanted, timeout, quick=quick and not everything, as_json=as_json)


def preflight_command(as_json: AsJson = False, timeout: Seconds = SECONDS) -> None:
    """Say whether a gateway can start here: settings, servers, schema, queues; exits alike."""
    wanted = (ALL - {"rabbitmq", "tokens"}) | {"topology"}
    run_and_tell(wanted, timeout, quick=False, as_json=as_json)


def run_and_tell(wanted: frozenset[str], timeout: float, *, quick: bool, as_json: bool) -> None:
    """Run the checks of these names, print what they found, and exit with what it comes to."""
    be_quiet()
    checks = asyncio.run(run_round(wanted, timeout, quick=quick))
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
        table.add_row(check.name, _MARKS[check.status], Text(f"{check.message}{hint}"))
    console = Console()
    console.print(table)
    console.print(f"Altogether: {status}")
