"""`lark-service demo`: the main job before the reader's eyes, on servers of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cli.exits import FAILED, USAGE, CommandFailed
from sandbox.stack import Stack, StackError

from .children import Children
from .given import refuse_foreign_calls
from .story import Outcome, tell

INTERRUPTED = 130
_BESIDE = Path(".local/demo")
_NEXT = """
Where to go next
    README.md, "Call it": the same call in Python, Node and raw AMQP
    README.md, "Run it" and "Operate it": your app, your servers, what to watch
    lark-service stack up, lark-service sandbox, lark-service serve: the same parts, left running
    lark-service call METHOD PATH --dry-run: what would be sent to Feishu
"""


def demo_command(
    directory: Annotated[
        Path | None, typer.Option(help="Where the servers keep their files; .local/demo.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=8, help="Gateway processes.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Start private servers and a simulated Feishu, and show the main job in a minute."""
    console = Console(quiet=as_json, highlight=False)
    began = time.monotonic()
    try:
        with _stoppable():
            outcome = _run(console, _made(directory), processes)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; everything that was started is stopped.\n")
        raise typer.Exit(INTERRUPTED) from None
    except StackError as error:
        raise CommandFailed(FAILED, str(error)) from error
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        sys.stdout.write(json.dumps(_as_json(outcome, seconds), ensure_ascii=False) + "\n")
    else:
        _summarize(console, outcome, seconds)
    raise typer.Exit(0 if outcome.ok else FAILED)


def _run(console: Console, directory: Path, processes: int) -> Outcome:
    began = time.monotonic()
    console.print(Text("Lark Service: Feishu's API over RabbitMQ", "bold"))
    console.print("Starting RabbitMQ, Redis, PostgreSQL and a simulated Feishu ...")
    stack = Stack(directory)
    children = Children(stack.directory)
    try:
        with children:
            stack.start()
            servers = stack.environment()
            if stack.is_given("rabbitmq"):
                asyncio.run(refuse_foreign_calls(servers["RABBITMQ_URL"]))
            children.start_gateways(processes, servers)
            pids = ", ".join(str(gateway.process.pid) for gateway in children.gateways)
            console.print(
                f"Ready after {time.monotonic() - began:.1f} s: {processes} processes of "
                f"`lark-service serve` (pids {pids}), Feishu at {children.feishu()}",
                soft_wrap=True,
            )
            outcome = asyncio.run(tell(console, children, servers))
            console.print("\nStopping everything that was started ...")
    except KeyboardInterrupt:
        children.forget_logs()
        raise
    finally:
        stack.stop()
    if outcome.ok:
        children.forget_logs()
    else:
        console.print(f"The logs of the processes are in {directory}.", soft_wrap=True)
    return outcome


def _made(directory: Path | None) -> Path:
    """The directory, made; by default one beside the project, else where temporary files go."""
    try:
        made = directory or _BESIDE
        # Others may pass through to the data of Postgres, but not list what is beside it.
        made.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        if directory is None:
            return Path(tempfile.mkdtemp(prefix="lark-service-demo-"))
        raise CommandFailed(USAGE, f"Cannot make {directory}: {error.strerror}") from error
    return made


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: in order, with nothing left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _summarize(console: Console, outcome: Outcome, seconds: float) -> None:
    table = Table(Column("", width=6), "what should hold", "what was seen")
    for _, check in outcome.checks:
        verdict = Text("ok", "green") if check.held else Text("FAILED", "bold red")
        table.add_row(verdict, Text(check.expected), Text(check.seen))
    for skipped in outcome.skipped:
        table.add_row(Text("-", "yellow"), Text("skipped"), Text(skipped))
    console.print(table)
    held = sum(check.held for _, check in outcome.checks)
    console.print(Text(f"{held} of {len(outcome.checks)} checks held, {seconds:.0f} s.", "bold"))
    if outcome.ok:
        console.print(Text(_NEXT.rstrip()), soft_wrap=True)


def _as_json(outcome: Outcome, seconds: float) -> dict[str, object]:
    checks = [
        {"scene": title, "expected": check.expected, "seen": check.seen, "held": check.held}
        for title, check in outcome.checks
    ]
    return {
        "ok": outcome.ok,
        "seconds": seconds,
        "checks": checks,
        "skipped": outcome.skipped,
    }
