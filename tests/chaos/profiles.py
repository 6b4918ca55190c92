"""What is run by each name: how much, how long, how hard, on what."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tests.chaos.calls import Reply
from tests.chaos.nemesis import Plan, Strike, schedule
from tests.chaos.world import Load


@dataclass(frozen=True, slots=True)
class Shape:
    """One run; `settings` are those of the gateways beside the harness's own."""

    name: str
    gateways: int
    load: Load
    plan: Plan
    drain: float = 120.0
    settings: Mapping[str, str] = field(default_factory=dict)

    def strikes(self, seed: int) -> list[Strike]:
        """The schedule of its faults."""
        return schedule(seed, self.plan)

    def sized(self, *, seconds: float | None, calls: int | None) -> Shape:
        """The same, longer or shorter."""
        shape = self
        if seconds is not None:
            shape = replace(
                shape,
                load=replace(shape.load, seconds=seconds, calls=int(seconds * shape.load.rate)),
                plan=replace(shape.plan, seconds=seconds * _STRUCK),
            )
        if calls is not None:
            shape = replace(shape, load=replace(shape.load, calls=calls))
        return shape


_STRUCK: Final = 0.95
"""Faults end a little before the load does, so that recovery from the last ones shows."""


def _load(rate: float, seconds: float, **fields: tuple[int, ...]) -> Load:
    return Load(rate, seconds, int(rate * seconds), **fields)  # type: ignore[arg-type]


SMOKE: Final = Shape(
    "smoke",
    gateways=2,
    load=Load(40, 38, 1600, timeouts=(5, 10, 20)),
    plan=Plan(36, every=1.2, slots=2, stretch=0.1, pairs=0.12),
    drain=40,
)
SOAK: Final = Shape(
    "soak",
    gateways=3,
    load=_load(70, 3600),
    plan=Plan(3600 * _STRUCK, every=9.0, slots=3, stretch=0.5, pairs=0.15),
)
OVERLAP: Final = Shape(
    "overlap",
    gateways=3,
    load=_load(60, 600),
    plan=Plan(600 * _STRUCK, every=9.0, slots=3, stretch=0.4, pairs=1.0),
)

_REPLIES: Final[tuple[tuple[Reply, ...], ...]] = (
    ("direct", "none"),
    ("exclusive", "none"),
    ("durable", "none"),
)
_FAMILIES: Final = ("process", "amqp", "redis", "postgres", "feishu")


def matrix() -> list[Shape]:
    """Every family of faults on two gateways and on four, three ways to be answered in turn.

    Two keep the records of outcomes in Redis, four in Postgres.
    """
    shapes = []
    for number, (family, gateways) in enumerate(
        (family, gateways) for family in _FAMILIES for gateways in (2, 4)
    ):
        replies = _REPLIES[number % len(_REPLIES)]
        shapes.append(
            Shape(
                f"matrix: {family}, {gateways} gateways, {replies[0]} replies",
                gateways=gateways,
                load=replace(_load(50, 120), replies=replies),
                plan=Plan(110, every=4.0, slots=gateways, stretch=0.3, families=(family,)),
                settings={"LARK_SERVICE_OUTCOMES": "redis" if gateways == 2 else "postgres"},
            )
        )
    return shapes


def shapes_of(profile: str) -> list[Shape]:
    """The runs of a profile; raises KeyError for one that there is not."""
    known = {"smoke": [SMOKE], "soak": [SOAK], "overlap": [OVERLAP], "matrix": matrix()}
    return known[profile]


PROFILES: Final = ("smoke", "matrix", "soak", "overlap")


def any_seed() -> int:
    """A seed for those who name none."""
    return random.SystemRandom().randrange(1, 1_000_000)
