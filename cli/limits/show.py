"""`lark-service limits`: every bucket in use now, and who waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from gateway.settings import Settings, load_settings

from . import stored
from .known import UNLIMITED, Keys
from .picture import Picture, Row
from .sources import Sources, open_sources

NEEDED = stored.NEEDED | {"REDIS_URL", "RABBITMQ_URL"}


def show_command(
    context: typer.Context,
    alias: Annotated[str | None, typer.Option("--app", help="Only what this app uses.")] = None,
    idle: Annotated[bool, typer.Option("--all", help="Buckets too that nobody uses now.")] = False,
    watch: Annotated[
        float | None, typer.Option("--watch", help="Again every so many seconds.", min=0.2)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line a time.")] = False,
) -> None:
    """Show the buckets in use now, from REDIS_URL; no gateway has to run."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings(only=NEEDED)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_show(settings, alias, idle=idle, watch=watch, as_json=as_json))


async def _show(
    settings: Settings, alias: str | None, *, idle: bool, watch: float | None, as_json: bool
) -> None:
    # Where Postgres is away, the picture itself says so.
    keys = Keys((await stored.known_limits(settings)).catalogue)
    async with open_sources(settings, keys) as sources:
        picture = await sources.picture(alias, idle=idle)
        if as_json:
            _write(picture)
            while watch:
                await asyncio.sleep(watch)
                _write(await sources.picture(alias, idle=idle))
        elif watch:
            await _watch(sources, picture, alias, idle=idle, seconds=watch)
        else:
            Console().print(drawn(picture))


def _write(picture: Picture) -> None:
    sys.stdout.write(json.dumps(picture.as_json(), ensure_ascii=False) + "\n")
    sys.stdout.flush()


async def _watch(
    sources: Sources, picture: Picture, alias: str | None, *, idle: bool, seconds: float
) -> None:
    with Live(drawn(picture), console=Console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(seconds)
            live.update(drawn(await sources.picture(alias, idle=idle)), refresh=True)


def drawn(picture: Picture) -> Group:
    """The picture for people."""
    modes = ", ".join(f"{count} {mode}" for mode, count in sorted(picture.modes.items()))
    head = Text(f"Processes alive: {picture.processes}" + (f" ({modes})" if modes else ""))
    columns = ("bucket", "used", "paused", "learnt", "under way", "in hand", "overflow")
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in picture.rows:
        cells = (_name(row), _used(row), _paused(row), _learnt(row))
        table.add_row(*map(Text, (*cells, _under_way(row), _in_hand(row), _overflow(row))))
    body = table if picture.rows else Text("No bucket is in use.")
    return Group(head, body, *map(Text, picture.away))


def _name(row: Row) -> str:
    whose = row.named.app or "shared"
    return f"{whose} {row.named.kind}\n{row.named.of}"


def _used(row: Row) -> str:
    uses = row.seen.windows if row.seen else ()
    lines = []
    for place, window in enumerate(row.named.bucket.windows):
        used = uses[place].used if uses else 0
        if window.limit == UNLIMITED:
            lines.append(f"last {window.seconds} s: {used}")
        else:
            lines.append(f"{window}: {used}")
    return "\n".join(lines)


def _paused(row: Row) -> str:
    if row.seen is None or not (row.seen.paused_for or row.seen.canary):
        return ""
    rest = f"{row.seen.paused_for:.1f} s" if row.seen.paused_for else ""
    return f"{rest} canary".strip() if row.seen.canary else rest


def _learnt(row: Row) -> str:
    seen, lines = row.seen, []
    if seen is not None and seen.factor < 1:
        lines.append(f"{seen.factor:.0%} of the limit, for {_long(seen.factor_for)}")
    if seen is not None and seen.extra_margin > 0:
        lines.append(f"+{seen.extra_margin:.3f} s, at most {_long(seen.forgotten_in)}")
    return "\n".join(lines)


def _under_way(row: Row) -> str:
    most = row.named.bucket.at_once
    return f"{row.seen.under_way if row.seen else 0} of {most}" if most else ""


def _in_hand(row: Row) -> str:
    return "\n".join(f"{count} {lane}" for lane, count in row.in_hand.items())


def _overflow(row: Row) -> str:
    lines = []
    for lane, queue in row.overflow.items():
        oldest = "" if queue.oldest is None else f", oldest {_long(queue.oldest)}"
        lines.append(f"{'?' if queue.calls is None else queue.calls} {lane}{oldest}")
    return "\n".join(lines)


def _long(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
