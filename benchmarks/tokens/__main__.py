"""Promises about tokens, apps and secrets, measured: `python -m benchmarks.tokens NAME…`.

Everything runs on private servers and a simulated Feishu on loopback, and stops by itself. Without
a name all scenarios run. A gate that does not hold is marked ✗; the exit code tells of it too.
Figures come from ledgers: what the simulated Feishu counted, and what producers were answered.
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
from pathlib import Path

from benchmarks.limits.report import Findings
from benchmarks.throughput.readings import machine

from .cold import cold
from .deadlock import deadlock
from .grant_kills import grant_kills
from .grants import grants
from .options import Options
from .pools import pools
from .revoked import revoked
from .rotation import rotation
from .stores import stores

SCENARIOS: Mapping[str, Callable[[Options], Awaitable[Findings]]] = {
    "cold": cold,
    "revoked": revoked,
    "pools": pools,
    "rotation": rotation,
    "stores": stores,
    "deadlock": deadlock,
    "grants": grants,
    "grant-kills": grant_kills,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.tokens", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--apps", type=int, help="apps beside `default`")
    parser.add_argument("--tenants", type=int, help="of a store app, each with a token of its own")
    parser.add_argument("--calls", type=int, help="calls of a scenario, of cold: for each app")
    parser.add_argument("--gateways", type=int, default=Options().gateways, help="processes")
    parser.add_argument("--seconds", type=float, help="of each measurement; each has its own else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


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
        apps=arguments.apps,
        tenants=arguments.tenants,
        calls=arguments.calls,
        gateways=arguments.gateways,
        seconds=arguments.seconds,
    )
    about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
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
