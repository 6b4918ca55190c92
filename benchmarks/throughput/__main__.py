"""`python -m benchmarks.throughput`: measures the gateway beside two loops, in one run.

All run on private servers and one simulated Feishu without limits. The contestants take turns,
round by round, so that what else the machine does befalls them alike; medians are shown. Ratios
and CPU-seconds per 10,000 calls can be compared between machines, calls per second cannot.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .driver import Result
from .ground import CONTESTANTS, Ground
from .readings import machine
from .report import Cell, Summary, document, summarize, table

RESULTS = Path("benchmarks/results")
LOCAL = Path(".local")
PROCESS_SECONDS = 180


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.throughput", description=__doc__)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 50], help="Feishu's, ms")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before each")
    parser.add_argument(
        "--contestants", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS)
    )
    parser.add_argument("--output", type=Path, help="JSON file; by default one by date")
    return parser


def main() -> None:
    """Measure everything, print the table, write the file."""
    arguments = _parser().parse_args()
    started = datetime.now(UTC)
    LOCAL.mkdir(exist_ok=True)
    with Ground(LOCAL, arguments.contestants) as ground:
        upstream = _upstream(ground, arguments.seconds)
        summaries = _measure(ground, arguments)
    about = {
        "date": started.isoformat(timespec="seconds"),
        "machine": machine(),
        "seconds": arguments.seconds,
        "feishu_alone": upstream,
    }
    print(f"\n{table(summaries)}\n")
    print("\n".join(_remarks(summaries, upstream)))
    output = arguments.output or RESULTS / f"throughput-{started:%Y%m%dT%H%M%SZ}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document(summaries, about), indent=1) + "\n", encoding="utf-8")
    print(f"\nWritten to {output}")


def _measure(ground: Ground, arguments: argparse.Namespace) -> dict[Cell, Summary]:
    results: dict[Cell, list[Result]] = defaultdict(list)
    for name in arguments.contestants:
        _drive(ground, Cell(name, 64, 0), 1.0, 0.0)
    for number in range(arguments.rounds):
        for cell in _round(arguments, number):
            ground.latency(cell.latency_ms)
            ground.forget()
            result = _drive(ground, cell, arguments.seconds, arguments.warm_up)
            results[cell].append(result)
            rate = result.calls / result.seconds
            print(
                f"round {number + 1}: {cell.contestant:8} {cell.callers:4} callers,"
                f" Feishu {cell.latency_ms:g} ms: {rate:7,.0f} calls/s",
                flush=True,
            )
    return {cell: summarize(several) for cell, several in results.items()}


def _round(arguments: argparse.Namespace, number: int) -> Iterator[Cell]:
    """Every cell once; who comes first changes from round to round."""
    names: Sequence[str] = arguments.contestants
    first = number % len(names)
    for latency in arguments.latency:
        for callers in arguments.callers:
            for name in (*names[first:], *names[:first]):
                yield Cell(name, callers, latency)


def _drive(ground: Ground, cell: Cell, seconds: float, warm_up: float) -> Result:
    watch = ";".join(
        f"{name}={','.join(str(pid) for pid in pids)}"
        for name, pids in ground.watch(cell.contestant).items()
    )
    key = f"{CONTESTANTS[cell.contestant].alias}.interactive"
    figures = _run(
        ground,
        "driver",
        *(key, str(cell.callers), "--watch", watch),
        *("--seconds", str(seconds), "--warm-up", str(warm_up)),
    )
    return Result(**figures)


def _upstream(ground: Ground, seconds: float) -> dict[str, float]:
    ground.latency(0)
    return _run(ground, "upstream", str(ground.feishu), "--seconds", str(seconds))


def _run(ground: Ground, module: str, *arguments: str) -> dict[str, Any]:
    """Run one of our modules beside the servers and read the line of JSON that it prints."""
    process = subprocess.run(
        [sys.executable, "-m", f"benchmarks.throughput.{module}", *arguments],
        env=ground.environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )
    ground.check()
    if process.returncode:
        raise SystemExit(f"{module} failed; what the others wrote is in {ground.logs}")
    figures: dict[str, Any] = json.loads(process.stdout)
    return figures


def _remarks(summaries: Mapping[Cell, Summary], upstream: Mapping[str, float]) -> Iterator[str]:
    yield (
        "busy: the consumer's share of its CPU; below 90 % something else was the limit, and the "
        "rate says less than the CPU. spread: of CPU s/10k over the rounds."
    )
    fastest = max(summary.rate for summary in summaries.values())
    yield (
        f"The simulated Feishu alone answers {upstream['rate']:,.0f} requests/s "
        f"({upstream['cpu_10k']:.2f} CPU s/10k), {upstream['rate'] / fastest:.1f} times the "
        "fastest rate above."
    )
    driver = max(summary.driver_busy for summary in summaries.values())
    yield f"The driver used {driver:.0%} of one CPU at most."
    foreign = sorted(summary.foreign for summary in summaries.values())
    most = max(summary.foreign_most for summary in summaries.values())
    yield (
        f"Other work on the machine kept {foreign[len(foreign) // 2]:.2f} of "
        f"{os.cpu_count()} CPUs busy (median; at most {most:.2f})."
    )
    lost = sum(summary.failed + summary.unanswered for summary in summaries.values())
    yield f"Calls that failed or were not answered: {lost}."


if __name__ == "__main__":
    main()
