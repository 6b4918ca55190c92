"""Kills gateways at every step of a call's life: `python -m tests.chaos.steps`.

A kill is one SIGKILL of one process while calls of one class stand at one step; several calls may
stand there at once and are judged one by one, and it is one kill all the same. Exit code 1 where a
promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from . import steps_kills, steps_report
from .steps_faults import FAULTS, MORE
from .steps_oracle import ORACLE, Klass, Step, Tally
from .steps_scenario import Shown
from .steps_signals import SIGNALS
from .steps_world import LateError, World, open_worlds

SCENARIOS = {**FAULTS, **SIGNALS, **MORE}
# A refresh that nobody finishes keeps the next one waiting for ten seconds: the longest first.
_ORDER = (Step.C2, *(step for step in Step if step is not Step.C2))


@dataclass(frozen=True, slots=True)
class Options:
    """Kills of each cell, calls that stand there at each; `first`: end at what is broken first."""

    kills: int
    calls: int
    first: bool = False


class Run:
    """The cells that are still to be done, the tallies, and the worlds that work on them."""

    def __init__(self, steps: Sequence[str], classes: Sequence[str], options: Options) -> None:
        self._kills, self._calls, self._first = options.kills, options.calls, options.first
        self.tallies: dict[tuple[Step, Klass], Tally] = {
            (step, Klass(klass)): Tally()
            for step in _ORDER
            if step.value in steps
            for klass in classes
        }
        self._cells = list(self.tallies)
        self._signals = [name for name in SCENARIOS if name.split()[0] in steps]
        self._poison = Step.C9.value in steps
        self.shown: list[Shown] = []
        self.notes: list[str] = []
        self._id = secrets.token_hex(3)

    async def work(self, world: World) -> None:
        """Take cells until none is left."""
        await steps_kills.warm(world)
        while self._cells and not (self._first and self.broken):
            step, klass = self._cells.pop(0)
            await self._cell(world, step, klass)
        if self._poison:
            self._poison = False
            await self._poisoned(world)
        while self._signals and not (self._first and self.broken):
            name = self._signals.pop(0)
            try:
                shown = await SCENARIOS[name](world, name)
            except LateError as error:
                shown = Shown(name, kept=False, detail=str(error))
                await world.succeed()
            self.shown.append(shown)
            say(f"{name}: {'kept' if shown.kept else 'BROKEN'} {shown.detail}")

    async def _cell(self, world: World, step: Step, klass: Klass) -> None:
        began, tally = time.monotonic(), self.tallies[step, klass]
        for _ in range(self._kills):
            struck = await steps_kills.kill_at(world, step, klass, self._calls, self._id)
            tally.add(struck.calls, ORACLE[struck.step][klass], parked=struck.parked)
            if struck.note:
                self.notes.append(f"{step.value} {klass.value}: {struck.note}")
            if self._first and tally.broken:
                break
        took = time.monotonic() - began
        say(f"{step.value} {klass.value}: {tally.kills} kills in {took:.0f} s {tally.broken or ''}")

    async def _poisoned(self, world: World) -> None:
        struck = await steps_kills.poisoned(world, self._id)
        ends = {end for call in struck.calls for end in call.ends}
        name = "C9 what is no call"
        self.shown.append(Shown(name, ends == {"invalid_call"}, f"ends {sorted(ends)}"))

    @property
    def broken(self) -> bool:
        """Whether anything that was promised did not hold, so far."""
        return (
            any(tally.broken for tally in self.tallies.values())
            or not all(shown.kept for shown in self.shown)
            or any("refreshes" in note for note in self.notes)
        )

    @property
    def idle(self) -> list[str]:
        """The cells that were never brought to their step, and so have shown nothing."""
        return [f"{s.value} {k.value}" for (s, k), tally in self.tallies.items() if not tally.kills]

    def report(self) -> dict[str, Any]:
        """Everything, for a file."""
        scenarios = [
            {"name": shown.name, "kept": shown.kept, "detail": shown.detail} for shown in self.shown
        ]
        return steps_report.as_json(self.tallies) | {"signals": scenarios, "notes": self.notes}


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def run_steps(arguments: argparse.Namespace) -> Run:
    """Do what the command line names."""
    options = Options(arguments.kills, arguments.calls, arguments.first)
    run = Run(arguments.steps, arguments.classes, options)
    async with open_worlds(arguments.worlds) as worlds, asyncio.TaskGroup() as group:
        for world in worlds:
            group.create_task(run.work(world))
    return run


def parser() -> argparse.ArgumentParser:
    """The command line."""
    signals = sorted({name.split()[0] for name in SCENARIOS})
    steps = list(dict.fromkeys([*(step.value for step in Step), *signals]))
    made = argparse.ArgumentParser(prog="tests.chaos.steps", description=__doc__)
    made.add_argument("--kills", type=int, default=30, help="of each step and class")
    made.add_argument("--calls", type=int, default=3, help="that stand at the step at each kill")
    usual = [step for step in steps if step.startswith("C")]
    made.add_argument("--steps", nargs="+", choices=steps, default=usual, metavar="C5")
    classes = [klass.value for klass in Klass]
    made.add_argument("--classes", nargs="+", choices=classes, default=classes, metavar="N")
    made.add_argument("--worlds", type=int, default=2, help="sites that are worked side by side")
    made.add_argument("--first", action="store_true", help="end at the first broken promise")
    made.add_argument("--report", type=Path, help="a file for the figures, as JSON")
    return made


def main() -> None:
    """Run, print the table, write the report."""
    arguments = parser().parse_args()
    began = time.monotonic()
    try:
        run = uvloop.run(run_steps(arguments))
    except Exception:  # noqa: BLE001
        # Not exit code 1: a harness that breaks down has seen no broken promise.
        traceback.print_exc()
        sys.exit(3)
    say("\n" + steps_report.as_table(run.tallies))
    for shown in run.shown:
        say(f"{shown.name}: {'kept' if shown.kept else 'BROKEN'}; {shown.detail}")
    for note in run.notes:
        say(note)
    say(f"{time.monotonic() - began:.0f} s")
    if arguments.report:
        text = json.dumps(run.report(), indent=2)
        arguments.report.write_text(text + "\n", encoding="utf-8")
    if run.idle and not arguments.first:
        say(f"not brought to their step: {', '.join(run.idle)}")
        sys.exit(2)
    sys.exit(run.broken)


if __name__ == "__main__":
    main()
