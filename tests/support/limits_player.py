"""Plays a sequence against the model: the commands it comes to, and the reply that is due to each.

A part of a sequence can be played as well, so a failing one is made short by leaving out actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.limits_grants import Grants, Shape
from tests.support.limits_model import BACK, FULL, Answer, Ask, Model

EPOCH = 1_700_000_000_000_000
START = EPOCH + 5_000_000
LEASE = 5_000_000
KEEP = 600_000

_QUIET = ("take", "again", "later", "when_told", "strange", "free")

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
    """The last answer said that there would be a permit at this time."""
    reshaped: bool = False
    """The limits are not those of the setting any more."""


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
        self.is_quiet = True

    def play(self, actions: Sequence[Action]) -> list[Command]:
        """All commands that the actions come to."""
        for name, *arguments in actions:
            action: Callable[..., None] = getattr(self, name)
            action(*arguments)
            self.is_quiet &= name in _QUIET
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
        # Bulk may be told of more than is left to it once an interactive call was seen.
        told = answer.reason == FULL and self.is_quiet and not ask.bulk
        self.take((ask._replace(want=1),), must_grant=told)

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
        # Now and then somebody asks who may not book.
        books = self.model.books = must_grant or len(self.commands) % 4 > 0
        head = [self.known_epoch, self.setting.ahead, LEASE, int(books), len(names)]
        arguments: list[int | str] = [*head]
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
        self.last, self.is_quiet = (asks[-1], answers[-1]), True
        reply = [0, self.known_epoch, self.now, *(number for one in answers for number in one)]
        self._say("acquire", keys, arguments, reply, asks, must_grant)

    def strange(self, asks: tuple[Ask, ...]) -> None:
        """Ask under another epoch: nothing is granted and nothing changes."""
        if self.model.epoch is None or self.model.epoch > self.now + BACK:
            return
        names = asks[0].buckets
        arguments = [
            self.known_epoch + 7,
            0,
            LEASE,
            1,
            1,
            *self._of_bucket(names[0]),
            1,
            5,
            0,
            "x",
            1,
        ]
        reply = [3, self.known_epoch, self.now]
        self._say("acquire", self._keys(names[0]), [*arguments, 1], reply)

    def report(self, name: str, grants: tuple[tuple[int, int], ...]) -> None:
        self._report(name, grants=grants)

    def refuse(
        self,
        name: str,
        pause: int,
        sent_ago: int | None,
        grants: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self._report(name, pause=pause, sent_ago=sent_ago, grants=grants)

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
        reshaped = self.shapes != self.setting.shapes
        said = Command(self.now, script, keys, tuple(arguments), reply, asks, must_grant, reshaped)
        self.commands.append(said)
