"""Outages of every component, measured: `python -m benchmarks.outages NAME…`.

Two processes carry out reads, messages and documents at four fifths of their limits; then Feishu
refuses connections, answers 503 or nothing, or Redis, Postgres or RabbitMQ are stopped, for 30 s.
Told is what share of the successes before there is 30 s after the end, and how many requests were
sent for each call in the worst minute, by the processes' own counters. Everything runs on private
servers and a simulated Feishu on loopback, and stops by itself. Without a name all run. A gate that
does not hold is marked ✗; the exit code tells of it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.scenarios import Scenario, parse, parser_of, perform

from .outage import Options, hanging, measure, refusing, stopped, unavailable

SCENARIOS: Mapping[str, Scenario[Options]] = {
    name: partial(measure, name, outage)
    for name, outage in {
        "feishu-refusing": refusing,
        "feishu-503": unavailable,
        "feishu-hanging": hanging,
        "redis": stopped("redis"),
        "postgres": stopped("postgres"),
        "rabbitmq": stopped("rabbitmq"),
    }.items()
}


def main() -> None:
    """Run what the command line names."""
    usual = Options()
    parser = parser_of("benchmarks.outages", __doc__, SCENARIOS)
    parser.add_argument("--rate", type=float, default=usual.rate, help="calls a second")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="of an outage")
    parser.add_argument("--before", type=float, default=usual.before, help="seconds before it")
    parser.add_argument("--after", type=float, default=usual.after, help="seconds after it")
    parser.add_argument("--gateways", type=int, default=usual.gateways, help="processes")
    arguments = parse(parser, SCENARIOS)
    options = Options(
        rate=arguments.rate,
        seconds=arguments.seconds,
        before=arguments.before,
        after=arguments.after,
        gateways=arguments.gateways,
    )
    perform(SCENARIOS, arguments, options)


if __name__ == "__main__":
    main()
