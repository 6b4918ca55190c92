"""Break everything while calls are made, and account for every one of them.

Prints a verdict for each run. A run that broke a promise keeps its ledger and says how to see the
same schedule again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from tests.chaos.profiles import PROFILES, Shape, any_seed, shapes_of
from tests.chaos.report import verdict
from tests.chaos.run import run


def main() -> None:
    """Run what the command line names; the exit code tells of promises that were broken."""
    arguments = _parser().parse_args()
    # Its connections are lost on purpose.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    seed = arguments.seed if arguments.seed is not None else any_seed()
    seconds = None if arguments.minutes is None else arguments.minutes * 60
    shapes = [
        shape.sized(seconds=seconds, calls=arguments.calls)
        for shape in shapes_of(arguments.profile)
    ]
    try:
        figures = uvloop.run(_run_all(shapes, seed, arguments))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("stopped")
    if arguments.report is not None:
        document = figures[0] if len(figures) == 1 else figures
        text = json.dumps(document, indent=1, ensure_ascii=False)
        arguments.report.write_text(f"{text}\n", encoding="utf-8")
    broken = sum(sum(each["invariants"].values()) for each in figures)
    sys.exit(1 if broken else 0)


async def _run_all(
    shapes: list[Shape], seed: int, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    task = asyncio.current_task()
    assert task is not None
    # Leaving by an exception ends every child; a signal's default would not.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    found = []
    for shape in shapes:
        folder = Path(tempfile.mkdtemp(prefix="lark-chaos-")) / "ledger"
        findings, figures = await run(shape, seed, folder)
        print(f"{shape.name}: {verdict(figures)}", flush=True)
        for finding in findings[:20]:
            print(f"  {finding}", flush=True)
        if findings or arguments.keep:
            again = f"python -m tests.chaos {arguments.profile} --seed {seed}"
            print(f"  ledger and logs: {folder}\n  the same schedule again: {again}", flush=True)
        else:
            shutil.rmtree(folder.parent)
        found.append(figures)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("profile", choices=PROFILES)
    parser.add_argument("--seed", type=int, help="of the schedule and of the calls; else any")
    parser.add_argument("--minutes", type=float, help="of load, instead of the profile's")
    parser.add_argument("--calls", type=int, help="at most so many")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep", action="store_true", help="keep the ledger of a good run too")
    return parser


if __name__ == "__main__":
    main()
