"""`lark-service db`: the schema in Postgres."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.migrations import Schema
from gateway.settings import Settings, load_settings

from .database import POSTGRES, open_database
from .exits import FAILED
from .quiet import be_quiet

app = typer.Typer(help="The schema in Postgres: how far it is, and forward.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _schema() -> None:
    """The schema in Postgres: how far it is, and forward."""
    be_quiet()


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show each step and when it was taken; exit with 1 while steps are still to take."""
    schema = asyncio.run(_look(load_settings(only=POSTGRES)))
    if as_json:
        taken = [{"name": name, "applied_at": at.isoformat()} for name, at in schema.taken]
        _print_json(ok=not schema.missing, applied=taken, pending=list(schema.missing))
    else:
        table = Table("step", "applied")
        for name, at in schema.taken:
            table.add_row(name, f"{at:%Y-%m-%d %H:%M:%S} UTC")
        for name in schema.missing:
            table.add_row(name, "pending")
        Console().print(table)
    if schema.missing:
        sys.stderr.write(f"{len(schema.missing)} steps to take: lark-service db migrate\n")
        raise typer.Exit(FAILED)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Take the steps that are missing, all or none; a gateway does the same when it starts."""
    steps = asyncio.run(_migrate(load_settings(only=POSTGRES)))
    if as_json:
        _print_json(ok=True, applied=steps)
        return
    told = "".join(f"Applied {step}.\n" for step in steps)
    sys.stdout.write(told or "The schema is up to date.\n")


def _print_json(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")


async def _look(settings: Settings) -> Schema:
    async with open_database(settings) as database:
        return await database.schema()


async def _migrate(settings: Settings) -> list[str]:
    async with open_database(settings) as database:
        return await database.migrate()
