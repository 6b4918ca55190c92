"""`python -m benchmarks.throughput.profile`: where a contestant's CPU goes, by component.

Samples one contestant under load with py-spy and charges each sample to the innermost component
on its stack; what libraries written in C do is charged to the Python line that called them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .__main__ import LOCAL
from .ground import CONTESTANTS, Ground

RATE = 250
COMPONENTS = {
    "AMQP: aiormq": r"/?aiormq/",
    "AMQP: aio-pika": r"/?aio_pika/",
    "AMQP: pamqp": r"/?pamqp/|consumers/wire",
    "HTTP: aiohttp, yarl": r"/?(?:aiohttp|multidict|yarl)/",
    "Redis: redis-py": r"/?redis/",
    "validation: pydantic": r"/?pydantic",
    "metrics: prometheus-client": r"/?prometheus_client/",
    "logs: structlog": r"/?structlog/",
    "codec and schemas": r"consumers/(?:codec|body)|schemas/",
    "limiter": r"gateway/limits/",
    "scheduler": r"consumers/scheduler",
    "intake and acks": r"consumers/(?:intake|acks)",
    "publisher": r"consumers/(?:publisher|connection)",
    "replies and endings": r"consumers/(?:replies|endings|copies)",
    "pipeline": r"consumers/",
    "executor and Feishu": r"gateway/(?:executor|feishu|request|verdict|codes)",
    "jobs and catalogue": r"gateway/(?:jobs|catalogue|apps)",
    "tokens": r"gateway/tokens/",
    "the loop under test": r"benchmarks/throughput/",
    "event loop": r"/?(?:asyncio|uvloop|selectors)\b",
}
"""Component by what its files are called, the first that fits."""

_LINE = re.compile(r":\d+\)$")


def read(lines: Iterable[str]) -> Iterator[tuple[list[str], int]]:
    """Stacks, outermost frame first, and how often each was seen."""
    for line in lines:
        stack, _, count = line.rpartition(" ")
        yield [_LINE.sub(")", frame) for frame in stack.split(";")], int(count)


def shares(stacks: Iterable[tuple[list[str], int]]) -> tuple[Counter[str], Counter[str]]:
    """Samples by component, and by the function that ran."""
    components: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, count in stacks:
        components[_owner(stack)] += count
        functions[stack[-1]] += count
    return components, functions


def _owner(stack: list[str]) -> str:
    for frame in reversed(stack):
        for name, pattern in COMPONENTS.items():
            if re.search(rf"\({pattern}", frame):
                return name
    return "other"


def _print(title: str, counts: Mapping[str, int], most: int) -> None:
    total = sum(counts.values()) or 1
    print(f"\n{title}")
    for name, count in Counter(counts).most_common(most):
        print(f"{count / total:7.1%}  {name}")


def main() -> None:
    """Profile once and print the shares."""
    parser = argparse.ArgumentParser(prog="benchmarks.throughput.profile", description=__doc__)
    parser.add_argument("--contestant", choices=list(CONTESTANTS), default="gateway")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--output", type=Path, default=LOCAL / "profile.raw", help="the samples")
    arguments = parser.parse_args()
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        raise SystemExit("py-spy is missing: pip install py-spy")
    LOCAL.mkdir(exist_ok=True)
    with Ground(LOCAL, [arguments.contestant]) as ground:
        key = f"{CONTESTANTS[arguments.contestant].alias}.interactive"
        seconds = str(arguments.seconds + 2)
        driver = [sys.executable, "-m", "benchmarks.throughput.driver", key, str(arguments.callers)]
        # Once before, so that its start is over.
        subprocess.run(driver, env=ground.environment, stdout=subprocess.DEVNULL, check=True)
        load = subprocess.Popen(
            [*driver, "--seconds", seconds], env=ground.environment, stdout=subprocess.DEVNULL
        )
        [pid] = ground.watch(arguments.contestant)["consumer"]
        subprocess.run(
            [
                *(spy, "record", "--pid", str(pid), "--rate", str(RATE), "--format", "raw"),
                *("--duration", str(arguments.seconds), "--output", str(arguments.output)),
            ],
            check=True,
        )
        load.wait()
        ground.check()
    components, functions = shares(read(arguments.output.read_text().splitlines()))
    _print("CPU by component", components, len(COMPONENTS))
    _print("CPU by function", functions, 25)


if __name__ == "__main__":
    main()
