"""Promises about tokens, apps and secrets, measured: `python -m benchmarks.tokens NAME…`.

Everything runs on private servers and a simulated Feishu on loopback, and stops by itself. Without
a name all scenarios run. A gate that does not hold is marked ✗; the exit code tells of it too.
Figures come from ledgers: what the simulated Feishu counted, and what producers were answered.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from benchmarks.scenarios import Scenario, parse, parser_of, perform

from .cold import cold
from .deadlock import deadlock
from .grant_kills import grant_kills
from .grants import grants
from .options import Options
from .pools import pools
from .revoked import revoked
from .rotation import rotation
from .stores import stores

SCENARIOS: Mapping[str, Scenario[Options]] = {
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
    parser = parser_of("benchmarks.tokens", __doc__, SCENARIOS)
    parser.add_argument("--apps", type=int, help="apps beside `default`")
    parser.add_argument("--tenants", type=int, help="of a store app, each with a token of its own")
    parser.add_argument("--calls", type=int, help="calls of a scenario, of cold: for each app")
    parser.add_argument("--gateways", type=int, default=Options().gateways, help="processes")
    parser.add_argument("--seconds", type=float, help="of each measurement; each has its own else")
    return parser


def main() -> None:
    """Run what the command line names."""
    arguments = parse(_parser(), SCENARIOS)
    options = Options(
        apps=arguments.apps,
        tenants=arguments.tenants,
        calls=arguments.calls,
        gateways=arguments.gateways,
        seconds=arguments.seconds,
    )
    perform(SCENARIOS, arguments, options)


if __name__ == "__main__":
    main()
