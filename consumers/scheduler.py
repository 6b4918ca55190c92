"""Waiting for a slot: a line per bucket, one waiter on the limiter per line, and a cap.

Only what a bucket may keep in hand waits here. What exceeds the cap of a saturated bucket gets a
booking instead, a time at which its turn may come, and leaves the process until then: otherwise one
saturated API would fill the prefetch and stop all others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from gateway.errors import Expired, GatewayError, Refused
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from gateway.limits.limiter import Limiter
from schemas.names import RUNGS, Lane
from schemas.reply import ErrorType

BATCH = 64
"""Permits asked for at once, at most; never more than calls are in hand."""
LONGEST_HOLD = 30.0
"""Seconds that a call may wait in hand; whoever waits longer is parked."""


class Park(Exception):
    """The call's turn is not now: keep it out of the process until *not_before*, Unix time."""

    def __init__(self, not_before: float) -> None:
        super().__init__(not_before)
        self.not_before = not_before


class Closing(Exception):
    """The process drains: the call was not started and goes back."""


@dataclass(slots=True, eq=False)
class _Waiter:
    job: Job
    turn: asyncio.Future[None]


@dataclass(slots=True)
class _Line:
    bucket: Bucket
    spacing: float
    """Seconds between two calls when the bucket is saturated, by its tightest long-run window."""
    interactive: deque[_Waiter] = field(default_factory=deque)
    bulk: deque[_Waiter] = field(default_factory=deque)
    pump: asyncio.Task[None] | None = None
    full_until: float = 0.0
    """Unix time before which the limiter has nothing to give."""
    booked_until: float = 0.0

    def __len__(self) -> int:
        return len(self.interactive) + len(self.bulk)

    def waiters(self) -> list[_Waiter]:
        """Everyone in line, in the order in which they will be served."""
        return [*self.interactive, *self.bulk]

    def pop(self) -> _Waiter:
        """The next in line: interactive calls first."""
        return (self.interactive or self.bulk).popleft()

    def remove(self, waiter: _Waiter) -> None:
        """Take one out of the line, if it is still there."""
        for queue in (self.interactive, self.bulk):
            if waiter in queue:
                queue.remove(waiter)

    def soonest(self, place: int) -> float:
        """Seconds that the one in this place waits at least once the line moves again."""
        return max(place // window.limit * window.seconds for window in self.bucket.windows)

    def next_slot(self, now: float) -> float:
        """The earliest time at which the bucket may have a slot that nobody waits for."""
        free = max(now, self.full_until) + len(self) * self.spacing
        return max(free, self.booked_until + self.spacing)


class Scheduler:
    """Gives each job its turn, bucket by bucket."""

    def __init__(self, limiter: Limiter, *, cap: int) -> None:
        self._limiter = limiter
        self._cap = cap
        self._lines: dict[str, _Line] = {}
        self._closing = False

    async def turn(self, job: Job, lane: Lane, not_before: float = 0.0) -> float:
        """Wait for a permit and return the seconds it took.

        Raises Refused (rate_limited) as soon as no slot can come before the deadline, Expired when
        the deadline has passed, Park when the wait is too long to be spent here, Closing on drain.
        """
        now = time.time()
        self._admit(job, now)
        line = self._line(job.buckets[0])
        if now < line.full_until and len(line) >= self._cap:
            raise self._leave(line, job, now, not_before)
        waiter = _Waiter(job, asyncio.get_running_loop().create_future())
        (line.interactive if lane == "interactive" else line.bulk).append(waiter)
        if line.pump is None:
            line.pump = asyncio.create_task(self._run(line))
        elif now < line.full_until:
            self._thin(line, now)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            line.remove(waiter)
            raise
        return time.time() - now

    def close(self) -> None:
        """Send everyone who waits home; nobody is admitted any more."""
        self._closing = True
        for line in self._lines.values():
            for waiter in line.waiters():
                _fail(waiter, Closing())
            line.interactive.clear()
            line.bulk.clear()

    def _admit(self, job: Job, now: float) -> None:
        if self._closing:
            raise Closing
        if now >= job.deadline:
            raise Expired

    def _line(self, bucket: Bucket) -> _Line:
        line = self._lines.get(bucket.key)
        if line is None:
            spacing = max(window.seconds / window.limit for window in bucket.windows)
            line = self._lines[bucket.key] = _Line(bucket, spacing)
        return line

    def _leave(self, line: _Line, job: Job, now: float, not_before: float = 0.0) -> Exception:
        """Book a slot for a call that exceeds the cap: Park, or Refused where it comes too late."""
        # A booking that is still ahead is kept: who comes back early is not sent to the end.
        slot = not_before if not_before > now else line.next_slot(now)
        # Out of the process it is for the shortest rung at least.
        if max(slot, now + RUNGS[0]) >= job.deadline:
            return _no_slot(slot - now)
        line.booked_until = max(line.booked_until, slot)
        return Park(slot)

    async def _run(self, line: _Line) -> None:
        try:
            while len(line):
                grant = await self._limiter.acquire(line.bucket, min(len(line), BATCH))
                now = time.time()
                self._serve(line, grant.granted, now)
                if grant.wait > 0:
                    line.full_until = now + grant.wait
                    self._thin(line, now)
                    await asyncio.sleep(grant.wait)
        except Exception as error:  # noqa: BLE001  a defect must not leave callers waiting
            for waiter in line.waiters():
                _fail(waiter, error)
            line.interactive.clear()
            line.bulk.clear()
        finally:
            line.pump = None
            if not len(line):
                self._lines.pop(line.bucket.key, None)

    def _serve(self, line: _Line, permits: int, now: float) -> None:
        # A permit for a call that left or expired meanwhile goes to the next in line.
        while permits and len(line):
            waiter = line.pop()
            if waiter.turn.done():
                continue
            if now >= waiter.job.deadline:
                _fail(waiter, Expired())
                continue
            waiter.turn.set_result(None)
            permits -= 1

    def _thin(self, line: _Line, now: float) -> None:
        """Answer at once who can get no slot in time; park who would wait too long, and who came
        before it was known that the bucket is full and exceeds the cap."""
        wait = max(0.0, line.full_until - now)
        excess = line.waiters()[self._cap :]
        for waiter in excess:
            line.remove(waiter)
        for waiter in excess:
            _fail(waiter, self._leave(line, waiter.job, now))
        for place, waiter in enumerate(line.waiters()):
            expected = wait + line.soonest(place)
            error: Exception
            if now + expected >= waiter.job.deadline:
                error = _no_slot(expected)
            elif expected > LONGEST_HOLD:
                error = Park(now + expected)
            else:
                continue
            line.remove(waiter)
            _fail(waiter, error)


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.turn.done():
        waiter.turn.set_exception(error)


def _no_slot(seconds: float) -> GatewayError:
    return Refused(
        ErrorType.RATE_LIMITED,
        "no slot before the deadline",
        retry_after=seconds,
        hint="the API's limit is used up; publish again after retry_after_ms",
    )
