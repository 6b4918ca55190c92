"""Shows what is claimed, on private servers and real processes: `python -m benchmarks.proof NAME…`.

Prints one JSON object a scenario. The names are those of SCENARIOS and of the faults; without a
name all of them run, which takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from . import scenarios
from .calls import DOCUMENTS, USERS, WIDE
from .faults import FAULTS, under_load
from .fleet import Fleet

NO_LIMITS = ("--no-limits",)


async def _wide(run: Callable[[Fleet], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    async with Fleet(site_limits=WIDE, sandbox_options=NO_LIMITS) as fleet:
        return await run(fleet)


async def _narrow(run: Callable[[Fleet], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    limits = {USERS: WIDE[USERS], DOCUMENTS: WIDE[DOCUMENTS]}
    async with Fleet(site_limits=limits, settings={"LARK_SERVICE_MAX_PROCESSES": "2"}) as fleet:
        return await run(fleet)


def all_scenarios(seconds: float, seed: int) -> dict[str, Callable[[], Awaitable[dict[str, Any]]]]:
    """Every scenario by name, ready to run."""
    table: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
        "five-thousand": partial(_wide, scenarios.five_thousand),
        "cold-token": partial(_wide, scenarios.cold_token),
        "revoked-token": partial(_wide, scenarios.revoked_token),
        "wrong-secret": partial(_wide, scenarios.wrong_secret),
        "saturated": partial(_narrow, scenarios.saturated),
        "one-api-full": partial(_narrow, scenarios.one_api_full),
        "reset-honoured": partial(_wide, scenarios.reset_honoured),
    }
    for name, fault in FAULTS.items():
        run = partial(under_load, fault=fault, seconds=seconds, seed=seed)
        table[f"fault: {name}"] = partial(_wide, run)
    return table


async def _run(names: list[str], seconds: float, seed: int) -> None:
    table = all_scenarios(seconds, seed)
    for name in names or table:
        began = time.monotonic()
        figures = await table[name]()
        took = round(time.monotonic() - began, 1)
        sys.stdout.write(json.dumps({"scenario": name, "took_s": took} | figures) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(all_scenarios(0, 0))}")
    parser.add_argument("--seconds", type=float, default=60, help="of load under each fault")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.names, arguments.seconds, arguments.seed))


if __name__ == "__main__":
    main()
