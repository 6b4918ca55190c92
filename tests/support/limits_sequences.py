"""Sequences of what processes ask of the limiter's scripts, and what the time does meanwhile.

A sequence is a setting and a list of actions (see Player), the same for the same number.
"""

from __future__ import annotations

from random import Random

from tests.support.limits_grants import Shape, Window
from tests.support.limits_model import Ask
from tests.support.limits_player import LEASE, Action, Setting

HOLDERS = ("one", "two", "three", "four")
MINUTE, DAY = 60_000_000, 86_400_000_000
REAL = (
    Shape((Window(50, 1_100_000, 1_000_000),)),
    Shape((Window(1000, 60_350_000, MINUTE), Window(50, 1_350_000, 1_000_000))),
    Shape((Window(20, 60_350_000, MINUTE), Window(3, 1_350_000, 1_000_000))),
    Shape((Window(1, DAY + MINUTE + 350_000, DAY),), 0, MINUTE),
    Shape((Window(9, DAY + MINUTE + 350_000, DAY),), 0, MINUTE),
    Shape((Window(9, DAY + MINUTE + 350_000, DAY),), 1, MINUTE),
    Shape((Window(20, DAY + MINUTE + 350_000, DAY),), 0, MINUTE),
    Shape((Window(7000, 1_100_000, 1_000_000),)),
    Shape((Window(1_000_000, 60_350_000, MINUTE),)),
    Shape((Window(5, 1_100_000, 1_000_000),), at_once=2),
    Shape((), at_once=1),
)


def setting_of(random: Random) -> Setting:
    """Limits as they are, or few and small times so that everything meets at its very edge."""
    names = "abc"[: random.choice([1, 1, 2, 3])]
    kind = random.choice(["real", "small", "small", "long"])
    tick = {"real": 20_000, "small": random.choice([1, 97_003]), "long": 700_000}[kind]
    shapes = {name: shape_of(random, kind, tick) for name in names}
    windows = [window for shape in shapes.values() for window in shape.windows]
    jumps = [1, tick, 2 * tick, 5 * tick, LEASE]
    jumps += [time for w in windows for time in (w.span, w.span - 1, w.length // 30, w.span // 3)]
    return Setting(shapes, random.choice([0, 2 * tick, 50_000]), tuple(jumps))


def shape_of(random: Random, kind: str, tick: int) -> Shape:
    """A bucket's limits."""
    if kind == "real":
        return random.choice(REAL)
    at_once = random.choice([0, 0, 0, 1, 2])
    grain = random.choice([0, 0, 0, 3 * tick]) if kind == "small" else 0
    windows = []
    for ticks in random.sample(range(1, 17), random.randint(0 if at_once else 1, 3)):
        limit = random.randint(1, 8) * (4 if kind == "long" else 1)
        length = ticks * tick
        windows.append(Window(limit, length + grain + random.choice([0, tick // 3]), length))
    return Shape(tuple(windows), at_once, grain)


def ask_of(random: Random, shapes: dict[str, Shape]) -> Ask:
    """A call takes of one bucket or of several; of a bucket with places one at a time."""
    names = random.sample(sorted(shapes), random.randint(1, len(shapes)))
    single = any(shapes[name].at_once for name in names)
    want = 1 if single else random.choice([1, 1, 2, random.randint(1, 16)])
    return Ask(tuple(names), want, random.random() < 0.4, random.choice(HOLDERS))


def actions_of(random: Random, setting: Setting, *, steady: bool) -> list[Action]:
    """What happens; a steady one has only questions and time, as most of the days."""
    names = sorted(setting.shapes)

    def take() -> Action:
        return "take", tuple(
            ask_of(random, setting.shapes) for _ in range(random.choice([1, 1, 3]))
        )

    def time() -> Action:
        if random.random() < 0.4:
            return "when_told", random.choice([0, 0, -1, 1, -setting.ahead])
        return "later", random.choice(setting.jumps)

    def trouble() -> Action:
        jump, name = random.choice(setting.jumps), random.choice(names)
        grants = ((jump, random.randint(1, 3)), (random.choice(setting.jumps), 1))
        return random.choice(
            [
                ("back", jump),
                ("far_back", random.choice([0, 1, jump])),
                ("report", name, grants),
                ("refuse", name, 1 + jump * random.choice([1, 20]), random.choice([None, 0, jump])),
                ("refuse", name, 1 + jump * random.choice([0, 1]), random.choice([0, 1]), grants),
                ("passes", name),
                ("passes", name),
                ("later", 1_000_001),
                ("later", 5_000_000),
                ("later", 60_000_000),
                ("lose", name),
                ("empty",),
                ("strange", take()[1]),
                ("shape", name, reshaped(random, setting.shapes[name])),
            ]
        )

    def place() -> Action:
        return (
            random.choice(["renew", "free", "free"]),
            random.choice(names),
            random.choice(HOLDERS),
        )

    def again() -> Action:
        return ("again",)

    kinds = [take] * 8 + [time] * 5 + [again, place] + ([] if steady else [trouble] * 3)
    return [random.choice(kinds)() for _ in range(random.randint(10, 60))]


def reshaped(random: Random, shape: Shape) -> Shape:
    """Operators changed a limit, or how many calls may be under way together."""
    windows = tuple(
        window._replace(limit=random.choice([window.limit, 1, window.limit + 3, window.limit * 2]))
        for window in shape.windows
    )
    windows = windows[: random.randint(1, 3)] if windows else windows
    at_once = random.choice([shape.at_once, 1, 2]) if shape.at_once else 0
    return Shape(windows, at_once, random.choice([shape.grain, 0]))


def sequence_of(number: int) -> tuple[Setting, list[Action], bool]:
    """Sequence *number*: half of them are steady."""
    random = Random(number)
    setting = setting_of(random)
    steady = random.random() < 0.5
    return setting, actions_of(random, setting, steady=steady), steady
