"""`lark-service token warm-up`: tokens into Redis before the calls come."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.apps.find import find_app
from cli.exits import CANNOT_REACH, FAILED, CommandFailed
from cli.quiet import be_quiet
from gateway.errors import GatewayError
from gateway.settings import load_settings
from gateway.tokens.warmup import Warmed

from .desk import open_desk


def warm_up(
    name: Annotated[
        str | None, typer.Option("--app-id", "--app", help="Only this app, by app id or alias.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing and do not ask Feishu.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load the token of every app from Postgres into Redis, and renew those that are due.

    Exits with 1 when it failed for any app.
    """
    be_quiet()
    done = asyncio.run(_warm(name, dry_run=dry_run))
    failed = [warmed for warmed in done if warmed.what == "failed"]
    if as_json:
        rows = [_told(warmed) for warmed in done]
        document = {"ok": not failed, "dry_run": dry_run, "apps": rows}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        _print(done, dry_run=dry_run)
    if failed:
        raise typer.Exit(FAILED)


async def _warm(name: str | None, *, dry_run: bool) -> list[Warmed]:
    settings = load_settings()
    chosen = None if name is None else await find_app(settings, name)
    async with open_desk(settings) as desk:
        try:
            apps = await desk.all_apps() if chosen is None else [chosen]
        except GatewayError as error:
            raise CommandFailed(CANNOT_REACH, f"{error.message}. Is DATABASE_URL right?") from error
        return await desk.warm_up.run(apps, dry_run=dry_run)


def _told(warmed: Warmed) -> dict[str, Any]:
    left = warmed.seconds_left
    return {**asdict(warmed), "seconds_left": None if left is None else round(left)}


def _print(done: list[Warmed], *, dry_run: bool) -> None:
    table = Table("app", "would be" if dry_run else "was", "left", "why")
    for warmed in done:
        left = "" if warmed.seconds_left is None else f"{warmed.seconds_left:.0f} s"
        table.add_row(warmed.alias, warmed.what, left, Text(warmed.reason or ""))
    Console().print(table)
