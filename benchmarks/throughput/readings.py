"""CPU time of processes and of the machine, from /proc. Linux only."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LIBRARIES = (
    *("aio-pika", "aiormq", "pamqp", "aiohttp", "redis", "hiredis"),
    *("uvloop", "orjson", "pydantic", "lark-service"),
)


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that these processes have used so far, without their children."""
    return sum(_of_process(pid) for pid in pids)


def _of_process(pid: int) -> float:
    line = Path(f"/proc/{pid}/stat").read_text()
    # The command name may hold spaces and brackets; the fields start after its last bracket.
    fields = line[line.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def busy_seconds() -> float:
    """Time that all CPUs together were busy since boot."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + soft + steal) / _TICKS


@dataclass(frozen=True, slots=True)
class Cpus:
    """Which CPUs the consumer under test may use, and which everything else."""

    consumer: frozenset[int]
    others: frozenset[int]

    @classmethod
    def split(cls) -> Cpus:
        """The first CPU for the consumer, the rest for the others; one CPU is shared."""
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset(rest or {first}))


def machine() -> dict[str, object]:
    """What the figures depend on."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": os.cpu_count(),
        "cpu": model[0] if model else platform.processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def watched(text: str) -> Mapping[str, Sequence[int]]:
    """Read `name=pid,pid;name=pid`."""
    named = (part.partition("=") for part in text.split(";") if part)
    return {name: [int(pid) for pid in pids.split(",")] for name, _, pids in named}
