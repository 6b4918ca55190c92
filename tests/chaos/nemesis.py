"""Which fault strikes when, whom and for how long: a pure function of a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault: its share of all faults, and how long it lasts (seconds, before scaling).

    `on_slot` says that it befalls one gateway. `bunches` says that it can keep requests on their
    way to Feishu, so that those sent apart arrive together.
    """

    weight: float
    shortest: float = 0.0
    longest: float = 0.0
    on_slot: bool = False
    bunches: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "kill": Kind(30, on_slot=True),
    "terminate": Kind(5, on_slot=True),
    "pause": Kind(10, 1, 40, on_slot=True, bunches=True),
    "amqp cut": Kind(4, on_slot=True),
    "amqp upstream vanishes": Kind(2, 5, 45, on_slot=True),
    "amqp downstream vanishes": Kind(2, 5, 45, on_slot=True),
    "amqp slow": Kind(2, 5, 30, on_slot=True),
    "amqp in slices": Kind(1, 5, 20, on_slot=True),
    "redis cut": Kind(2, on_slot=True),
    "redis vanishes": Kind(2, 2, 20, on_slot=True),
    "redis slow": Kind(2, 2, 20, on_slot=True),
    "redis refuses": Kind(1, 2, 20, on_slot=True),
    "postgres cut": Kind(2, on_slot=True),
    "postgres vanishes": Kind(2, 2, 20, on_slot=True),
    "postgres cut on commit": Kind(1, 5, 20, on_slot=True),
    "feishu cut": Kind(2, on_slot=True),
    "feishu refuses": Kind(1, 1, 10, on_slot=True),
    "feishu vanishes": Kind(1, 2, 15, on_slot=True, bunches=True),
    "feishu held": Kind(2, 1, 8, on_slot=True, bunches=True),
    "feishu slow": Kind(1, 2, 15, on_slot=True, bunches=True),
    "feishu in part": Kind(1, on_slot=True),
    "connections closed": Kind(5),
    "redis emptied": Kind(5),
    "redis restarted": Kind(2.5),
    "postgres restarted": Kind(2.5),
    "broker restarted": Kind(3),
    "memory alarm": Kind(2, 10, 30),
    "feishu fails": Kind(4, 3, 20),
    "feishu limits": Kind(2, 1, 5),
    "feishu works slowly": Kind(2, 3, 20, bunches=True),
    "tokens revoked": Kind(2),
}

PAIRS: Final[Mapping[str, tuple[str, str]]] = {
    "redis emptied + killed": ("redis emptied", "kill"),
    "postgres away + tokens revoked": ("postgres vanishes", "tokens revoked"),
    "memory alarm + killed": ("memory alarm", "kill"),
    "half-open + redelivery": ("amqp upstream vanishes", "kill"),
}
"""Two faults on purpose: the second strikes amid the first."""

_FAMILIES: Final = {
    "process": ("kill", "terminate", "pause"),
    "amqp": ("amqp", "connections", "broker", "memory"),
    "redis": ("redis",),
    "postgres": ("postgres",),
    "feishu": ("feishu", "tokens"),
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault to come: seconds from the start, what, whom (-1 for all), for how long.

    `seed` is for what the fault itself leaves to chance.
    """

    at: float
    fault: str
    slot: int
    length: float
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a schedule is made of: `every` is the mean pause between faults, `stretch` scales how
    long they last, `pairs` is the share of strikes that are two at a time."""

    seconds: float
    every: float
    slots: int
    stretch: float = 1.0
    pairs: float = 0.15
    families: tuple[str, ...] = tuple(_FAMILIES)


def schedule(seed: int, plan: Plan) -> list[Strike]:
    """The strikes of a run in order, the same for the same seed and plan."""
    random_ = random.Random(seed)
    count = int(plan.seconds / plan.every)
    faults = _deck(random_, plan.families, round(count * (1 - plan.pairs)))
    doubles = [name for name in PAIRS if _in_families(PAIRS[name][0], plan.families)]
    faults += [doubles[n % len(doubles)] for n in range(count - len(faults))] if doubles else []
    random_.shuffle(faults)
    strikes: list[Strike] = []
    for number, fault in enumerate(faults):
        at = (number + random_.uniform(0.1, 0.9)) * plan.every
        strikes += _strikes(random_, at, fault, plan)
    return sorted(strikes, key=lambda strike: strike.at)


def _strikes(random_: random.Random, at: float, fault: str, plan: Plan) -> Iterator[Strike]:
    slot = random_.randrange(plan.slots)
    first, *second = PAIRS.get(fault, (fault,))
    yield _strike(random_, at, first, slot, plan)
    for name in second:
        # An emptied Redis is refilled by the next call: the kill must follow at once.
        after = random_.uniform(0, 0.1) if first == "redis emptied" else random_.uniform(0.3, 1.0)
        yield _strike(random_, at + after, name, slot, plan)


def _strike(random_: random.Random, at: float, fault: str, slot: int, plan: Plan) -> Strike:
    kind = KINDS[fault]
    length = random_.uniform(kind.shortest, kind.longest) * plan.stretch
    where = slot if kind.on_slot else -1
    return Strike(round(at, 3), fault, where, round(length, 3), random_.randrange(2**31))


def _deck(random_: random.Random, families: Iterable[str], count: int) -> list[str]:
    """So many faults in the shares of their weights; what a share leaves over is drawn by lot."""
    wanted = {name: kind.weight for name, kind in KINDS.items() if _in_families(name, families)}
    total = sum(wanted.values())
    deck: list[str] = []
    rest: dict[str, float] = {}
    for name, weight in wanted.items():
        whole, rest[name] = divmod(count * weight / total, 1)
        deck += [name] * int(whole)
    by_lot = sorted(rest, key=lambda name: rest[name] * random_.random(), reverse=True)
    return deck + by_lot[: count - len(deck)]


def _in_families(fault: str, families: Iterable[str]) -> bool:
    return any(fault.startswith(_FAMILIES[family]) for family in families)
