"""When calls to what keeps failing are held back, and how it is tried again. Pure: time is given.

All times are seconds of one clock that only goes forward.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

WINDOW = 30
"""Seconds of which failures count."""
LEAST_SHARE = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
PAUSE_SPREAD = 0.2
PROBES = 3
"""Calls that must succeed, one after the other, before all go again."""
LOOK_AGAIN = 1.0
"""Seconds after which it is worth asking whether a probe has ended; and how long one that was let
through may take until it is sent, before another one gets its place."""
FASTER = 1.8
"""How many times their usual rate calls may go that were held back: below twice at any moment."""
SLOWEST_RATE = 10.0
"""Calls a second that are no spike, however few are usual."""
USUAL_HALF_LIFE = 120.0
"""Seconds in which half of a rate is forgotten that is not reached any more."""
QUIET_SECONDS = 5.0
GROWTH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Count:
    """Calls of the window, how many of them failed, and how many a second are usual."""

    total: int = 0
    failed: int = 0
    usual: float = 0.0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.total + other.total,
            self.failed + other.failed,
            self.usual + other.usual,
        )

    def __sub__(self, other: Count) -> Count:
        return Count(self.total - other.total, self.failed - other.failed, self.usual - other.usual)

    def is_failing(self, least_calls: int) -> bool:
        """Whether so many failed that no more should be sent."""
        return self.total >= least_calls and self.failed >= LEAST_SHARE * self.total


class Tally:
    """Counts calls of the last 30 seconds, second by second."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, list[int]]] = deque()
        self._total = self._failed = 0
        self._usual, self._usual_at = 0.0, 0.0

    def add(self, now: float, *, failed: bool) -> None:
        """A call has ended."""
        self._forget(now)
        second = math.floor(now)
        if not self._seconds or self._seconds[-1][0] != second:
            self._usual, self._usual_at = self._of_late(now), now
            self._seconds.append((second, [0, 0]))
        counts = self._seconds[-1][1]
        counts[0] += 1
        counts[1] += failed
        self._total += 1
        self._failed += failed

    def count(self, now: float) -> Count:
        """The window that ends now."""
        self._forget(now)
        return Count(self._total, self._failed, self._of_late(now))

    def clear(self) -> None:
        """Count anew."""
        self._seconds.clear()
        self._total = self._failed = 0

    def _of_late(self, now: float) -> float:
        # Where nothing is answered for half a minute only what was before tells what is usual.
        former = self._usual * math.exp2((self._usual_at - now) / USUAL_HALF_LIFE)
        rate = self._total / max(1.0, now - self._seconds[0][0]) if self._seconds else 0.0
        return max(rate, former)

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] <= now - WINDOW:
            total, failed = self._seconds.popleft()[1]
            self._total -= total
            self._failed -= failed


class State(StrEnum):
    """What a breaker does with calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Open for 5 s after a trip and twice as long after each failed probe, up to 60 s, ± 20 %.

    Then it lets calls through one by one, and closes after three that succeed. `jitter` draws a
    number between -1 and 1.
    """

    def __init__(self, jitter: Callable[[], float] = lambda: random.uniform(-1, 1)) -> None:  # noqa: S311
        self._jitter = jitter
        self._pause = 0.0
        self._until = 0.0
        """Until when it is open; 0 while it is closed."""
        self._succeeded = 0
        self._offered_until = 0.0
        self._ticket = 0
        self._probe = 0
        """The ticket of the probe that is under way, or 0."""

    def state(self, now: float) -> State:
        """What it does now."""
        if not self._until:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN

    def trip(self, now: float) -> None:
        """Open it, if it is closed."""
        if not self._until:
            self._open(now)

    def wait(self, now: float, *, at_turn: bool = True) -> float:
        """Seconds until a call may go, 0 where it may now.

        *at_turn* is False for those who are asked to wait while a place is offered to another one.
        """
        if not self._until:
            return 0.0
        if now < self._until:
            return self._until - now
        if self._probe or (not at_turn and now < self._offered_until):
            return LOOK_AGAIN
        return 0.0

    def offer(self, now: float) -> None:
        """Somebody was told that it may go: others are not, until it has had time to."""
        if self.state(now) is State.HALF_OPEN:
            self._offered_until = now + LOOK_AGAIN

    def take(self, now: float) -> int:
        """A call goes, whose wait is over; returns the ticket of a probe, 0 while it is closed."""
        if self.state(now) is not State.HALF_OPEN:
            return 0
        self._ticket += 1
        self._probe = self._ticket
        return self._ticket

    def ended(self, ticket: int, healthy: bool | None, now: float) -> bool:
        """A probe has ended; None: it showed nothing. True where that closes the breaker.

        The end of a probe of an earlier pause counts for nothing.
        """
        if not ticket or ticket != self._probe:
            return False
        self._probe = 0
        self._offered_until = 0.0
        if healthy is None:
            return False
        if not healthy:
            self._open(now)
            return False
        self._succeeded += 1
        if self._succeeded < PROBES:
            return False
        self._pause = self._until = 0.0
        return True

    def _open(self, now: float) -> None:
        self._pause = min(LONGEST_PAUSE, self._pause * 2) if self._pause else FIRST_PAUSE
        self._until = now + self._pause * (1 + PAUSE_SPREAD * self._jitter())
        self._succeeded = 0
        self._probe = 0


class Pace:
    """Lets those who were held back go on a little faster than usual, not all at once.

    *usual* is calls a second. While anybody is held up by it the rate doubles every 30 s, for what
    was usual may not be any more; once nobody was for 5 s it is over.
    """

    def __init__(self, usual: float, now: float) -> None:
        self._rate = max(SLOWEST_RATE, FASTER * usual)
        self._began = self._filled = self._pressed = now
        self._level = 1.0

    def is_over(self, now: float) -> bool:
        """Whether nobody needs it any more."""
        return now - self._pressed >= QUIET_SECONDS

    def take(self, want: int, now: float) -> int:
        """How many of so many calls may go now."""
        rate = self._rate * 2 ** ((now - self._began) // GROWTH_SECONDS)
        # What collects while nobody asks is a tenth of a second's worth.
        most = max(1.0, rate / 10)
        self._level = min(most, self._level + (now - self._filled) * rate)
        self._filled = now
        granted = min(want, int(self._level))
        self._level -= granted
        if granted < want:
            self._pressed = now
        return granted

    @property
    def wait(self) -> float:
        """Seconds after which asking again makes sense."""
        return max(0.02, 1 / self._rate)
