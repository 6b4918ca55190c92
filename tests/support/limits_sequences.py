"""Sequences of what processes ask of the limiter's scripts and what the time does meanwhile.

A sequence is a setting and a list of actions, the same for the same number. Playing it against the
model gives the commands and what each must reply; dropping actions leaves a sequence that can be
played as well, so a failing one is made short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from tests.support.limits_model import BACK, FULL, Answer, Ask, Grants, Model, Shape, Window

EPOCH = 1_700_000_000_000_000
START = EPOCH + 5_000_000
LEASE = 5_000_000
KEEP = 600_000
HOLDERS = ("one", "two", "three", "four")

Action = tuple[Any, ...]


class Setting(NamedTuple):
    """What stays the same in a sequence."""

    shapes: dict[str, Shape]
    ahead: int
    jumps: tuple[int, ...]
    """Times to let pass: those at which something of this setting changes, and between."""


class Command(NamedTuple):
    """One command to the store at a time, and the reply that is due; none where it is no script."""

    now: int
    script: str
    keys: tuple[str, ...]
    arguments: tuple[int | str, ...]
    reply: list[int] | None
    asks: tuple[Ask, ...] = ()
    must_grant: bool = False


@dataclass
class Player:
    """Plays actions against the model."""

    setting: Setting
    now: int = START
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = Model(EPOCH, ahead=self.setting.ahead, lease=LEASE)
        self.known_epoch = EPOCH
        self.shapes = dict(self.setting.shapes)
        self.last: tuple[Ask, Answer] | None = None

    def play(self, actions: Sequence[Action]) -> list[Command]:
        """All commands that the actions come to."""
        for name, *arguments in actions:
            action: Callable[..., None] = getattr(self, name)
            action(*arguments)
        return self.commands

    def later(self, microseconds: int) -> None:
        self.now += microseconds

    def when_told(self, off: int) -> None:
        """About when the last answer said, or much sooner."""
        if self.last:
            self.now += max(0, self.last[1].wait + off)

    def again(self) -> None:
        """Ask for one when the last answer said: if a window was full, there is one."""
        if self.last is None or self.model.epoch is None:
            return
        ask, answer = self.last
        self.now += answer.wait
        self.take((ask._replace(want=1),), must_grant=answer.reason == FULL)

    def back(self, microseconds: int) -> None:
        """The clock steps back by so little that the logs are kept."""
        newest = [grants.newest for grants in self.model.buckets.values()]
        least = max([self.known_epoch, *newest]) - BACK
        self.now = min(self.now, max(self.now - microseconds, least))

    def far_back(self, microseconds: int) -> None:
        self.now -= BACK + microseconds

    def shape(self, name: str, shape: Shape) -> None:
        self.shapes[name] = shape

    def take(self, asks: tuple[Ask, ...], must_grant: bool = False) -> None:
        names = list(dict.fromkeys(name for ask in asks for name in ask.buckets))
        arguments: list[int | str] = [self.known_epoch, self.setting.ahead, LEASE, len(names)]
        for name in names:
            arguments += self._of_bucket(name)
        arguments.append(len(asks))
        for ask in asks:
            arguments += (ask.want, int(ask.bulk), ask.holder, len(ask.buckets))
            arguments += [names.index(name) + 1 for name in ask.buckets]
        keys = self._keys(*names)
        answers = self.model.acquire(self.now, {name: self.shapes[name] for name in names}, asks)
        if answers is None:
            self._say("acquire", keys, arguments, [3, self.now, self.now])
            self.known_epoch = self.now
            self.last = None
            return
        self.last = asks[-1], answers[-1]
        reply = [0, self.known_epoch, self.now, *(number for one in answers for number in one)]
        self._say("acquire", keys, arguments, reply, asks, must_grant)

    def strange(self, asks: tuple[Ask, ...]) -> None:
        """Ask under another epoch: nothing is granted and nothing changes."""
        if self.model.epoch is None or self.model.epoch > self.now + BACK:
            return
        names = asks[0].buckets
        arguments = [self.known_epoch + 7, 0, LEASE, 1, *self._of_bucket(names[0]), 1, 5, 0, "x", 1]
        reply = [3, self.known_epoch, self.now]
        self._say("acquire", self._keys(names[0]), [*arguments, 1], reply)

    def report(self, name: str, grants: tuple[tuple[int, int], ...]) -> None:
        self._report(name, grants=grants)

    def refuse(self, name: str, pause: int, sent_ago: int | None) -> None:
        self._report(name, pause=pause, sent_ago=sent_ago)

    def passes(self, name: str) -> None:
        self._report(name, pause=-1)

    def renew(self, name: str, holder: str) -> None:
        self._places(name, holder, LEASE)

    def free(self, name: str, holder: str) -> None:
        self._places(name, holder, 0)

    def lose(self, name: str) -> None:
        """A missing key is an empty bucket."""
        self.model.buckets[name] = Grants()
        self._say("delete", self._keys(name)[1:], [], None)

    def empty(self) -> None:
        """The store forgets everything, the epoch with it."""
        self.model.epoch = None
        self.model.buckets.clear()
        self._say("flush", (), [], None)

    def _report(
        self,
        name: str,
        *,
        pause: int = 0,
        sent_ago: int | None = None,
        grants: tuple[tuple[int, int], ...] = (),
    ) -> None:
        if self.model.epoch is None:
            return
        ago = -1 if sent_ago is None else sent_ago
        arguments = [self.known_epoch, *self._of_bucket(name), pause, ago]
        arguments += [number for grant in grants for number in grant]
        keys = self._keys(name)
        done = self.model.report(
            *(self.now, name, self.shapes[name]),
            pause=pause,
            sent=None if sent_ago is None else self.now - sent_ago,
            grants=[(self.now - age, permits) for age, permits in grants],
        )
        self._say("report", keys, arguments, [0 if done else 3, self.model.epoch, self.now])
        self.known_epoch = self.model.epoch

    def _places(self, name: str, holder: str, lease: int) -> None:
        if self.model.epoch is None:
            return
        if lease:
            self.model.keep_places(self.now, name, [holder])
        else:
            self.model.free_places(name, [holder])
        fence, _, _, places = self._keys(name)
        reply = [0, self.known_epoch, self.now]
        self._say("places", (fence, places), [self.known_epoch, lease, holder], reply)

    def _keys(self, *names: str) -> tuple[str, ...]:
        kinds = ("log", "state", "places")
        return "fence", *(f"{self.known_epoch}:{name}:{kind}" for name in names for kind in kinds)

    def _of_bucket(self, name: str) -> list[int | str]:
        windows, at_once, grain = self.shapes[name]
        flat = [number for window in windows for number in window]
        return [at_once, KEEP, grain, len(windows), *flat]

    def _say(
        self,
        script: str,
        keys: tuple[str, ...],
        arguments: Sequence[int | str],
        reply: list[int] | None,
        asks: tuple[Ask, ...] = (),
        must_grant: bool = False,
    ) -> None:
        said = Command(self.now, script, keys, tuple(arguments), reply, asks, must_grant)
        self.commands.append(said)


MINUTE, DAY = 60_000_000, 86_400_000_000
REAL = (
    Shape((Window(50, 1_100_000, 1_000_000),)),
    Shape((Window(1000, 60_350_000, MINUTE), Window(50, 1_350_000, 1_000_000))),
    Shape((Window(20, 60_350_000, MINUTE), Window(3, 1_350_000, 1_000_000))),
    Shape((Window(1, DAY + MINUTE + 350_000, DAY),), 0, MINUTE),
    Shape((Window(9, DAY + MINUTE + 350_000, DAY),), 0, MINUTE),
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
                ("refuse", name, max(1, jump), random.choice([None, 0, 1, jump])),
                ("refuse", name, max(1, jump), random.choice([None, 0, 1, jump])),
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
