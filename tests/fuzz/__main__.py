"""`make fuzz`: any bytes into what reads bytes, until time is up; says what was tried and found.

    python -m tests.fuzz [message] [answer] [token] [row] [--seconds 300] [--seed 1] [--atheris]

With --atheris, where that package is installed, inputs follow the lines that they reach; without
it they follow the ends that they have. An input that raises is written to .local/fuzz, and the
command ends with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.guided import fuzz_guided
from tests.fuzz.mutation import Mutator
from tests.fuzz.targets import TARGETS, Target

FOLDER = Path(".local/fuzz")
MOST_SHOWN = 5


def main() -> int:
    """Fuzz what the arguments name; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=300, help="for each target")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    chosen = given.targets or list(TARGETS)
    if given.atheris:
        return fuzz_guided(chosen, given.seconds, given.seed)
    return max(fuzz(TARGETS[name], given.seconds, given.seed) for name in chosen)


def fuzz(target: Target, seconds: float, seed: int) -> int:
    """Run one target; 1 where something was found."""
    mutator = Mutator(target.first(), seed)
    ends: set[str] = set()
    findings: dict[str, bytes] = {}
    executions, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        data = mutator.next()
        executions += 1
        try:
            end = target.run(data)
        except Exception as error:  # noqa: BLE001  any of them is a finding
            findings.setdefault(_place(error), data)
            continue
        if end not in ends:
            ends.add(end)
            mutator.keep(data)
    print(
        f"{target.name}: {executions:,} executions in {seconds:g} s (seed {seed}), "
        f"{len(ends)} different ends, {len(findings)} findings"
    )
    for place, data in list(findings.items())[:MOST_SHOWN]:
        print(f"  {place}\n    {_kept(target, data)}: {data[:200]!r}")
    return 1 if findings else 0


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno} ({last.name})"


def _kept(target: Target, data: bytes) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    return file


if __name__ == "__main__":
    sys.exit(main())
