"""`lark-service stack`: the private RabbitMQ, Redis and PostgreSQL for a try on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import typer
from rich.console import Console
from rich.table import Column, Table

from cli.exits import FAILED
from sandbox.stack import DEFAULT_DIRECTORY, Stack, StackError

app = typer.Typer(help="Private RabbitMQ, Redis and PostgreSQL.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option(help="Where the servers keep their files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def up(
    directory: Directory = DEFAULT_DIRECTORY,
    keep: Annotated[bool, typer.Option("--keep", help="Go on with the data of last time.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the servers and leave them running; `down` stops them."""
    stack = Stack(directory, keep=keep, outlive=True)
    with _told():
        try:
            stack.start()
        except BaseException:
            stack.stop()
            raise
        environment = stack.write_environment()
    _show(stack, as_json, environment)


@app.command()
def down(
    directory: Directory = DEFAULT_DIRECTORY,
    purge: Annotated[bool, typer.Option("--purge", help="Delete their data too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the servers that `up` started."""
    with _told():
        stack = Stack.attach(directory)
        stack.stop(purge=purge)
    _show(stack, as_json)


@app.command()
def status(directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False) -> None:
    """Show how the servers are; exit code 1 when one is not running."""
    with _told():
        stack = Stack.attach(directory)
    _show(stack, as_json)
    if not all(server.state in {"running", "given"} for server in stack.status()):
        raise typer.Exit(FAILED)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(FAILED) from error


def _show(stack: Stack, as_json: bool, environment: Path | None = None) -> None:
    rows = [
        (server.name, server.state, _without_password(server.url), server.pid)
        for server in stack.status()
    ]
    file = None if environment is None else str(environment)
    if as_json:
        servers = [dict(zip(("name", "state", "url", "pid"), row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps({"servers": servers, "environment_file": file}) + "\n")
        return
    table = Table("server", "state", Column("address", overflow="fold"), "pid")
    for name, state, url, pid in rows:
        table.add_row(name, state, url or "", str(pid or ""))
    Console().print(table)
    if file is not None:
        sys.stderr.write(f"To use them in a shell: set -a; . {file}; set +a\n")


def _without_password(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    user = f"{parts.username or ''}:***@" if parts.password else ""
    host = f"{user}{parts.hostname}:{parts.port}" if parts.port else f"{user}{parts.hostname}"
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
