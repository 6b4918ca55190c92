"""What a permit is taken from: a bucket of one app, tenant and API, with all its windows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from schemas.apis import Window

_PLAIN = re.compile(r"[A-Za-z0-9_.@:/ *-]{1,120}")
_SHORT = 5
_HOUR = 3600
_GRAINS = 1440


class Margins(NamedTuple):
    """Seconds that a permit is held beyond its window: beyond one of a few seconds, and beyond a
    longer one."""

    short: float
    long: float


USUAL = Margins(0.1, 0.35)
"""What is taken until travel times are known."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Calls that share one budget. `key` outlives a change of the windows.

    `at_once` bounds the calls that are under way together, 0 is any number. `name` is what metrics
    call it, one of a bounded number: the API, or what kind of thing is protected, such as chat.
    """

    key: str
    windows: tuple[Window, ...]
    at_once: int = 0
    name: str = ""

    @property
    def longest(self) -> float:
        """Seconds after which a grant is forgotten: the span of the longest window."""
        return max(self.spans(), default=0.0)

    @property
    def grain(self) -> float:
        """Seconds of which the grants share one entry, where windows are hours long; else 0."""
        shortest = min((window.seconds for window in self.windows), default=0)
        return shortest / _GRAINS if shortest >= _HOUR else 0.0

    def spans(self, margins: Margins = USUAL) -> tuple[float, ...]:
        """Seconds that a permit is held against each window: its length and a safety margin.

        We count departures, Feishu counts arrivals. Requests of one window that travel slowly and
        requests of the next that travel fast would meet in one window of theirs. 0.35 s covers the
        travel times that are usual and costs a minute window 0.6 %. A window of a second would lose
        a quarter, so short windows take less and leave the rare slow request to the pause after a
        429. A short window beside one that allows less in the long run takes the long margin for
        nothing: its bursts come further apart, and the long window fills all the same.
        """
        rate = min((window.limit / window.seconds for window in self.windows), default=0.0)
        tight = Margins(margins.long, margins.long)
        return tuple(
            span(window, margins if window.limit <= rate * window.seconds else tight) + self.grain
            for window in self.windows
        )


def bucket_of(
    app_alias: str, tenant: str | None, route_name: str, windows: Iterable[Window]
) -> Bucket:
    """The bucket of an API as one app uses it for one tenant."""
    return Bucket(key_of(app_alias, tenant or "", route_name), tuple(windows), name=route_name)


def key_of(*parts: str) -> str:
    """Join the parts of a key; what cannot stand in a key, or is too long for one, is hashed."""
    return "|".join([_part(part) for part in parts])


def span(window: Window, margins: Margins = USUAL) -> float:
    """Seconds that a permit is held against a window that stands alone."""
    return window.seconds + (margins.short if window.seconds <= _SHORT else margins.long)


def _part(text: str) -> str:
    # A hash is marked by a character that a plain part cannot have: the two never meet.
    if text == "" or _PLAIN.fullmatch(text):
        return text
    return "~" + hashlib.sha256(text.encode()).hexdigest()[:24]
