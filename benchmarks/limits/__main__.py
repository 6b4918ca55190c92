"""The gates of rate limits and waiting, measured: `python -m benchmarks.limits NAME…`.

Everything runs on private servers and a simulated Feishu on loopback, and stops by itself. Without
a name all scenarios run. A gate that does not hold is marked ✗; the exit code tells of it too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.throughput.readings import machine
from sandbox.feishu.limits import WindowModel
from schemas.names import LANES

from .alternatives.table import ALTERNATIVES
from .cost import cost
from .fairness import fairness
from .hot import hot_api, hot_backlog
from .lanes import interactive_over_bulk
from .options import MODELS, Options
from .pause import pause
from .redis_faults import redis_faults
from .report import Findings
from .restart import restart
from .saturated import saturated

SCENARIOS: Mapping[str, Callable[[Options], Awaitable[Findings]]] = {
    "saturated": saturated,
    "hot-api": hot_api,
    "hot-backlog": hot_backlog,
    "interactive-over-bulk": interactive_over_bulk,
    "fairness": fairness,
    "pause": pause,
    "redis-faults": redis_faults,
    "restart": restart,
    "cost": cost,
}
_DEFAULT = Options()
_LIBRARIES = ("celery", "lark-oapi")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.limits", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--seconds", type=float, help="of each measurement; each has its own else")
    parser.add_argument("--alternative-seconds", type=float, default=_DEFAULT.alternative_seconds)
    parser.add_argument(
        "--alternatives", nargs="*", metavar="NAME", help=f"of {', '.join(ALTERNATIVES)}"
    )
    parser.add_argument("--models", nargs="+", type=WindowModel, default=list(MODELS))
    parser.add_argument("--lanes", nargs="+", choices=LANES, default=list(LANES))
    parser.add_argument("--windows", default=_DEFAULT.windows, help="of the saturated bucket")
    parser.add_argument("--network", nargs=2, type=float, default=_DEFAULT.network, metavar="MS")
    parser.add_argument(
        "--gateways",
        type=int,
        default=_DEFAULT.gateways,
        help="processes; 0: alternatives only",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def _about(started: datetime) -> dict[str, Any]:
    described = machine()
    libraries = described["libraries"]
    assert isinstance(libraries, dict)
    libraries |= {name: version(name) for name in _LIBRARIES}
    return {"date": started.isoformat(timespec="seconds"), "machine": described}


async def _run(names: list[str], options: Options) -> list[Findings]:
    task = asyncio.current_task()
    assert task is not None
    # Leaving by an exception ends every child; a signal's default would not.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    found = []
    for name in names:
        began = time.monotonic()
        findings = await SCENARIOS[name](options)
        findings.seconds = time.monotonic() - began
        print(f"{findings}\n", flush=True)
        found.append(findings)
    return found


def main() -> None:
    """Run what the command line names, print the tables, write the file."""
    parser = _parser()
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]!r}; there are {', '.join(SCENARIOS)}")
    options = Options(
        seconds=arguments.seconds,
        alternative_seconds=arguments.alternative_seconds,
        alternatives=None if arguments.alternatives is None else tuple(arguments.alternatives),
        models=tuple(arguments.models),
        lanes=tuple(arguments.lanes),
        windows=arguments.windows,
        network=tuple(arguments.network),
        gateways=arguments.gateways,
    )
    about = _about(datetime.now(UTC))
    print(json.dumps(about), end="\n\n", flush=True)
    try:
        found = asyncio.run(_run(arguments.names or list(SCENARIOS), options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("stopped")
    if arguments.json is not None:
        document = about | {"scenarios": [findings.document() for findings in found]}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    broken = [gate for findings in found for gate in findings.gates if not gate.holds]
    sys.exit(f"{len(broken)} gates do not hold" if broken else 0)


if __name__ == "__main__":
    main()
