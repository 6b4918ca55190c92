"""Waiting for a slot: a line per bucket, one waiter on the limiter per line, and a cap.

Only what a bucket may keep in hand waits here. What exceeds the cap of a saturated bucket leaves
the process for that bucket's overflow queue: otherwise one saturated API would fill the prefetch
and stop all others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Protocol

from gateway.errors import Expired
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant
from schemas.names import Lane

from .backlog import Backlog
from .groups import Group, Waiter
from .lines import Held, Line
from .saturation import SHORTEST_WAIT, Saturation
from .turns import Closing, Overflow, Park, Turn
from .verdicts import Verdict, Verdicts

__all__ = ["Closing", "Overflow", "Park", "Scheduler", "Turn"]


class Permits(Protocol):
    """What the scheduler needs of the limiter."""

    @property
    def live_processes(self) -> int:
        """Processes that share the limits, as last known."""
        ...

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        """Answer every ask, in order."""

    def release(self, buckets: tuple[Bucket, ...], holder: str) -> None:
        """Give back the places that a holder takes, in the background."""


class Scheduler:
    """Gives each job its turn, bucket by bucket."""

    def __init__(self, limiter: Permits, *, cap: int, backlog: Backlog | None = None) -> None:
        backlog = backlog or Backlog()
        self._limiter = limiter
        self._saturation = Saturation(backlog)
        self._held: Held = Counter()
        self._verdicts = Verdicts(self._saturation, backlog, self._held, cap=cap)
        self._lines: dict[str, Line] = {}
        self._numbers = count()
        self._closing = False

    async def turn(
        self, job: Job, lane: Lane, *, producer: str | None = None, moved: bool = False
    ) -> Turn:
        """Wait for a permit; whoever gets one must say when the try is `finished`.

        Raises Refused (rate_limited) as soon as no slot can come before the deadline, Expired when
        the deadline has passed, Overflow when the call must wait in the broker, Park when one that
        came from there must wait once more, Closing on drain.
        """
        waiter = self._admit(job, lane, producer, moved=moved)
        line = self._lines.get(job.buckets[0].key)
        if line is None:
            line = self._lines[job.buckets[0].key] = Line(job.buckets[0], self._held)
        line.add(waiter)
        _dismiss(self._verdicts.on_arrival(line, waiter, waiter.arrived))
        self._wake(line)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            self._withdraw(line, waiter)
            raise

    def finished(self, job: Job, turn: Turn) -> None:
        """The try has ended: its places are free for others."""
        if not turn.holder:
            return
        self._limiter.release(job.buckets, turn.holder)
        for bucket in job.buckets:
            if bucket.at_once:
                self._saturation.freed(bucket)
        for line in self._lines.values():
            line.news.set()

    def held(self) -> Mapping[tuple[Bucket, Lane], int]:
        """Calls that wait in hand, by lane and by each bucket that they need."""
        return Counter(
            (bucket, waiter.lane)
            for line in self._lines.values()
            for waiter in line.waiters()
            for bucket in waiter.job.buckets
        )

    def dismiss(self, judge: Callable[[Job], Exception | None]) -> None:
        """Take everyone out of line for whom *judge* names a reason."""
        for line in list(self._lines.values()):
            for waiter in list(line.waiters()):
                if reason := judge(waiter.job):
                    line.remove(waiter)
                    waiter.fail(reason)
            self._wake(line)

    def look_again(self) -> None:
        """A breaker lets somebody through: those who wait for one ask again now."""
        self._saturation.reopened()
        for line in self._lines.values():
            line.news.set()

    def close(self) -> None:
        """Send everyone who waits home; nobody is admitted any more."""
        self._closing = True
        for line in list(self._lines.values()):
            _dismiss((waiter, Closing()) for waiter in line.clear())
            line.news.set()

    def _admit(self, job: Job, lane: Lane, producer: str | None, *, moved: bool) -> Waiter:
        if self._closing:
            raise Closing
        now, left = time.monotonic(), job.deadline - time.time()
        if left <= 0:
            raise Expired
        turn = asyncio.get_running_loop().create_future()
        return Waiter(job, lane, producer, moved, next(self._numbers), now, now + left, turn)

    def _withdraw(self, line: Line, waiter: Waiter) -> None:
        line.remove(waiter)
        if waiter.turn.done() and not waiter.turn.cancelled() and not waiter.turn.exception():
            # It had its turn in the moment in which it was cancelled.
            self.finished(waiter.job, waiter.turn.result())
        self._wake(line)

    def _wake(self, line: Line) -> None:
        """Have the line looked at: someone came, or left."""
        line.news.set()
        if line.pump is None and len(line):
            line.pump = asyncio.get_running_loop().create_task(self._run(line))
        self._forget(line)

    def _forget(self, line: Line) -> None:
        if line.pump is None and line.is_idle and self._lines.get(line.bucket.key) is line:
            del self._lines[line.bucket.key]

    async def _run(self, line: Line) -> None:
        try:
            while len(line):
                line.news.clear()
                now = time.monotonic()
                _dismiss((waiter, Expired()) for waiter in line.expired(now))
                if asks := line.asks(self._saturation, now, self._limiter.live_processes):
                    await self._ask(line, asks)
                else:
                    await _look_away(line, line.next_look(self._saturation))
        except Exception as error:  # noqa: BLE001  a defect must not leave callers waiting
            _dismiss((waiter, error) for waiter in line.clear())
        finally:
            line.pump = None
            self._forget(line)

    async def _ask(self, line: Line, asks: list[tuple[Group, Ask]]) -> None:
        for group, ask in asks:
            line.promise(group, ask.lane, ask.want)
        short = False
        try:
            grants = await self._limiter.acquire([ask for _, ask in asks])
            now = time.monotonic()
            for (group, ask), grant in zip(asks, grants, strict=True):
                self._grant(line, group, ask, grant, now)
                short = short or grant.granted < ask.want
        finally:
            for group, ask in asks:
                line.redeem(group, ask.lane, ask.want)
        if short:
            _dismiss(self._verdicts.on_news(line, now))

    def _grant(self, line: Line, group: Group, ask: Ask, grant: Grant, now: float) -> None:
        self._saturation.hear(ask, grant, now)
        if grant.granted and grant.delay <= 0:
            self._hand_out(line, group, ask, grant.granted, now)
        elif grant.granted:
            line.promise(group, ask.lane, grant.granted)
            asyncio.get_running_loop().call_later(
                grant.delay, self._redeem, line, group, ask, grant.granted, now + grant.delay
            )

    def _redeem(self, line: Line, group: Group, ask: Ask, permits: int, permit_at: float) -> None:
        self._hand_out(line, group, ask, permits, permit_at)
        line.redeem(group, ask.lane, permits)
        self._wake(line)

    def _hand_out(self, line: Line, group: Group, ask: Ask, permits: int, permit_at: float) -> None:
        now = time.monotonic()
        # A permit for a call that left or expired meanwhile goes to the next in line.
        while permits and (waiter := line.take(group)):
            if waiter.turn.done():
                continue
            if now >= waiter.deadline:
                waiter.fail(Expired())
                continue
            waiter.turn.set_result(Turn(now - waiter.arrived, ask.holder, permit_at))
            permits -= 1
        if permits and ask.holder:
            self._limiter.release(ask.buckets, ask.holder)


def _dismiss(verdicts: Iterable[Verdict]) -> None:
    for waiter, error in verdicts:
        waiter.fail(error)


async def _look_away(line: Line, until: float | None) -> None:
    """Wait until then (time.monotonic()), or until there is news."""
    seconds = None if until is None else max(SHORTEST_WAIT, until - time.monotonic())
    try:
        async with asyncio.timeout(seconds):
            await line.news.wait()
    except TimeoutError:
        return
