"""`lark-service secrets rotate`: every sealed value of Postgres under the newest key."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from cli.database import open_database
from cli.exits import FAILED
from gateway.crypto import KeyRing
from gateway.sealed_columns import SEALED_COLUMNS, SealedColumn
from gateway.secrets_at_rest import Resealed, reseal
from gateway.settings import Settings, load_settings

from .ring import NEEDED, own_ring


def rotate_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Re-seal what is under an older key, while gateways run; killed, it goes on when run again."""
    settings = load_settings(only=NEEDED)
    keys = own_ring(settings)
    ended = asyncio.run(_rotate(settings, keys))
    unopened = sum(column.looked.unopened for column in ended)
    left = sum(column.left for column in ended)
    if as_json:
        _write_json(ended, keys, ok=not unopened and not left)
    else:
        _show(ended, keys)
    if left:
        sys.stderr.write(
            f"{left} values were sealed with an older key meanwhile: give every gateway process "
            "the ring and send it SIGHUP, then run this again.\n"
        )
    if unopened:
        sys.stderr.write(
            f"{unopened} values do not open: see which and why with lark-service secrets verify.\n"
        )
    if left or unopened:
        raise typer.Exit(FAILED)


async def _rotate(settings: Settings, keys: KeyRing) -> list[Resealed]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {column: progress.add_task(column.name, total=None) for column in SEALED_COLUMNS}

        def show(column: SealedColumn, done: int, total: int) -> None:
            progress.update(tasks[column], completed=done, total=total)

        async with open_database(settings) as database:
            await database.migrate()
            return [await reseal(database, keys, column, show) for column in SEALED_COLUMNS]


def _show(ended: list[Resealed], keys: KeyRing) -> None:
    now = f"sealed with {keys.key_ids[0]} now"
    table = Table("column", now, "dropped", "sealed otherwise", "do not open")
    for column in ended:
        counts = (column.count, column.dropped, column.left, column.looked.unopened)
        table.add_row(column.looked.place, *map(str, counts))
    Console().print(table)


def _write_json(ended: list[Resealed], keys: KeyRing, *, ok: bool) -> None:
    columns = [
        {
            "column": column.looked.place,
            "resealed": column.count,
            "dropped": column.dropped,
            "left": column.left,
            "unopened": column.looked.unopened,
        }
        for column in ended
    ]
    document = {"ok": ok, "key": keys.key_ids[0], "columns": columns}
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
