"""The gates of rate limits and waiting, measured: `python -m benchmarks.limits NAME…`.

Everything runs on private servers and a simulated Feishu on loopback, and stops by itself. Without
a name all scenarios run. A gate that does not hold is marked ✗; the exit code tells of it too.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from benchmarks.scenarios import Scenario, parse, parser_of, perform
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
from .restart import restart
from .saturated import saturated

SCENARIOS: Mapping[str, Scenario[Options]] = {
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
    parser = parser_of("benchmarks.limits", __doc__, SCENARIOS)
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
    return parser


def main() -> None:
    """Run what the command line names."""
    arguments = parse(_parser(), SCENARIOS)
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
    perform(SCENARIOS, arguments, options, libraries=_LIBRARIES)


if __name__ == "__main__":
    main()
