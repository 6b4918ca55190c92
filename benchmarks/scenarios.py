"""Scenarios as a command line names them: run in turn, their tables printed, their gates told."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from benchmarks.limits.report import Findings
from benchmarks.throughput.readings import machine

Options = TypeVar("Options")
Scenario = Callable[[Options], Awaitable[Findings]]


def parser_of(
    program: str, description: str | None, scenarios: Iterable[str]
) -> argparse.ArgumentParser:
    """A parser of scenarios' names, and of where their figures go."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    # Not as choices: argparse would not take none at all for them.
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(scenarios)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def parse(
    parser: argparse.ArgumentParser, scenarios: Mapping[str, Scenario[Options]]
) -> argparse.Namespace:
    """What the command line says; a name of no scenario ends the program."""
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in scenarios]
    if unknown:
        parser.error(f"no scenario {unknown[0]!r}; there are {', '.join(scenarios)}")
    return arguments


def perform(
    scenarios: Mapping[str, Scenario[Options]],
    arguments: argparse.Namespace,
    options: Options,
    *,
    libraries: Iterable[str] = (),
) -> NoReturn:
    """Run what was named, or all, and end the program; the exit code tells of gates that broke.

    *libraries* are those whose versions matter beside the gateway's own.
    """
    about = _about(libraries)
    print(json.dumps(about), end="\n\n", flush=True)
    names = arguments.names or list(scenarios)
    try:
        found = asyncio.run(_run([scenarios[name] for name in names], options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("stopped")
    if arguments.json is not None:
        _write(arguments.json, about | {"scenarios": [findings.document() for findings in found]})
    broken = [gate for findings in found for gate in findings.gates if not gate.holds]
    sys.exit(f"{len(broken)} gates do not hold" if broken else 0)


async def _run(scenarios: Iterable[Scenario[Options]], options: Options) -> list[Findings]:
    task = asyncio.current_task()
    assert task is not None
    # Leaving by an exception ends every child; a signal's default would not.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    found = []
    for scenario in scenarios:
        began = time.monotonic()
        findings = await scenario(options)
        findings.seconds = time.monotonic() - began
        print(f"{findings}\n", flush=True)
        found.append(findings)
    return found


def _about(libraries: Iterable[str]) -> dict[str, Any]:
    described = machine()
    known = described["libraries"]
    assert isinstance(known, dict)
    known |= {name: version(name) for name in libraries}
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": described}


def _write(file: Path, document: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")
