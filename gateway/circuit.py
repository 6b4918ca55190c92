"""The tree of breakers: hosts, the apps that call them, the APIs that the apps call."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from schemas.reply import Outcome

from .breaker import Breaker, Count, Pace, Tally
from .errors import PROVEN_UNSENT, AttemptFailed, GatewayError
from .jobs import Job

MOST_APIS = 4096
"""APIs of apps that are kept; of more, those without calls of late are forgotten."""

Level = Literal["host", "app", "api"]
LEVELS: Final[tuple[Level, ...]] = ("host", "app", "api")


class Sign(StrEnum):
    """What the end of a try says of those whom it went to."""

    HEALTHY = "healthy"
    """Feishu answered: limits, quotas, rejected tokens and business errors are answers."""
    FAILING = "failing"
    UNREACHABLE = "unreachable"
    """There was no connection, which is a matter of the host and of no API."""
    NOTHING = "nothing"


@dataclass(slots=True, eq=False)
class Circuit:
    """One breaker, and below it those of the parts that it is made of."""

    level: Level
    name: str
    breaker: Breaker
    tally: Tally = field(default_factory=Tally)
    """Calls of an API; of a host, whether they reached it."""
    parts: dict[str, Circuit] = field(default_factory=dict)
    usual: float = 0.0
    """Calls a second before it opened."""
    pace: Pace | None = None
    opened_at: float = 0.0
    unreachable: bool = False

    def count(self, now: float) -> Count:
        """What its calls came to."""
        if self.level == "api":
            return self.tally.count(now)
        return sum((part.count(now) for part in self.parts.values()), Count())

    def is_failing(self, now: float, least_calls: int) -> bool:
        """Whether its calls fail; of an app or a host, whichever of its parts is left out."""
        if self.level == "api":
            return self.tally.count(now).is_failing(least_calls)
        counts = [part.count(now) for part in self.parts.values()]
        whole = sum(counts, Count())
        return all((whole - count).is_failing(least_calls) for count in counts)

    def clear(self) -> None:
        """What was counted before is no evidence any more."""
        self.tally.clear()
        for part in self.parts.values():
            part.clear()


Path = tuple[Circuit, Circuit, Circuit]
"""The host, the app and the API of a call."""


class CircuitTree:
    """Finds the breakers of calls, and makes them when they are first asked for."""

    def __init__(self, new_breaker: Callable[[], Breaker]) -> None:
        self._new_breaker = new_breaker
        self._hosts: dict[str, Circuit] = {}
        self._paths: dict[str, Path] = {}

    def find(self, bucket_key: str) -> Path | None:
        """The path of those calls whose API has this bucket; None where none was made yet."""
        return self._paths.get(bucket_key)

    def path(self, job: Job, now: float, kept: Container[Circuit]) -> Path:
        """The path of a call; where there are too many, idle ones go that are not *kept*."""
        key = job.buckets[0].key
        path = self._paths.get(key)
        if path is None or path[0].name != job.app.domain:
            if len(self._paths) >= MOST_APIS:
                self._forget(now, kept)
            host = self._part(self._hosts, "host", job.app.domain)
            app = self._part(host.parts, "app", job.app.alias)
            api = self._part(app.parts, "api", job.route.name)
            path = self._paths[key] = (host, app, api)
        return path

    def _part(self, parts: dict[str, Circuit], level: Level, name: str) -> Circuit:
        circuit = parts.get(name)
        if circuit is None:
            circuit = parts[name] = Circuit(level, name, self._new_breaker())
        return circuit

    def _forget(self, now: float, kept: Container[Circuit]) -> None:
        left: set[Circuit] = set()
        for host in self._hosts.values():
            for app in host.parts.values():
                app.parts = {
                    name: api
                    for name, api in app.parts.items()
                    if api in kept or api.count(now).total
                }
                left.update(app.parts.values())
        self._paths = {key: path for key, path in self._paths.items() if path[2] in left}


def sign_of(error: GatewayError | None, *, answered: bool) -> Sign:
    """What a try that ended so says; *answered*: Feishu sent an answer."""
    if isinstance(error, AttemptFailed):
        if error.cause in PROVEN_UNSENT:
            return Sign.UNREACHABLE
        if error.cause is not None and error.outcome is Outcome.UNKNOWN:
            return Sign.FAILING
    return Sign.HEALTHY if answered else Sign.NOTHING


def verdict_of(circuit: Circuit, sign: Sign) -> bool | None:
    """What the end of a probe says of the breaker that it probes; None: nothing."""
    if sign is Sign.NOTHING:
        return None
    if sign is Sign.FAILING:
        # Who answers with a failure can be reached.
        return circuit.level == "host" and circuit.unreachable
    return sign is Sign.HEALTHY


def names_of(circuit: Circuit, path: Path) -> dict[str, str]:
    """The breaker as a log line names it: by its host, and for an app or an API by those too."""
    depth = LEVELS.index(circuit.level) + 1
    return {each.level: each.name for each in path[:depth]}
