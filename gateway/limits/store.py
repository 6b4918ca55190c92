"""The limiter's scripts in Redis, and what it means when they cannot be run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.asyncio import Redis

from gateway.redis_scripts import Command, RoundTrips, Script

from .batches import Batches
from .buckets import USUAL, Bucket, Margins
from .grant import Ask

PAUSED = 2
BUSY = 4
_OTHER_EPOCH = 3
_NUMBERS = 6
_REPORTS = 100
AHEAD = 0.05
"""Seconds that a permit may lie ahead: a slot so near is booked, so that none is lost between
waking up and asking for it."""
LEASE = 5.0
"""Seconds that a place is kept for a call under way unless it is renewed."""


class StoreAwayError(Exception):
    """Redis did not run a script."""


class Permits(NamedTuple):
    """What acquire.lua replies to one ask, times in seconds.

    `place` is that of the bucket in the way, counted from 1. `canaries` has a bit for each bucket
    of the ask whose reopening the permit tests.
    """

    granted: int
    delay: float
    wait: float
    reason: int
    place: int
    canaries: int


class Answer(NamedTuple):
    """A script's answer; `permits` is None when the epoch is another. Times in microseconds."""

    epoch: int
    now: int
    permits: Sequence[Permits] | None


class Beat(NamedTuple):
    """What beat.lua replies; `epoch` and `now` in microseconds.

    `margins` are the longest that any process asks for; None when none has seen enough.
    """

    epoch: int
    now: int
    live: int
    rank: int
    run: bytes
    margins: Margins | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the store may not know of one bucket: seconds ago and permits of each grant, seconds to
    pause, whether its canary passed, and seconds ago that the request was sent whose refusal
    teaches something."""

    bucket: Bucket
    grants: Sequence[tuple[float, int]] = ()
    pause: float = 0.0
    passed: bool = False
    refused_after: float | None = None


class LimitStore:
    """Runs the scripts. Everything raises StoreAwayError, within `timeout` seconds.

    All keys carry one hash tag, so that a cluster keeps them in one slot: one script takes from
    several buckets, and one fence vouches for all logs. A single shard runs ten thousand scripts a
    second and more, far above what Feishu's limits let through.
    """

    def __init__(self, redis: Redis, *, prefix: str, timeout: float) -> None:
        self._trips = RoundTrips(redis, lambda: asyncio.timeout(timeout), _away)
        self._tag = f"{{{prefix}:limits}}"
        self._acquire = Script.load(__package__, "bucket.lua", "acquire.lua")
        self._report = Script.load(__package__, "bucket.lua", "report.lua")
        self._places = Script.load(__package__, "places.lua")
        self._beat = Script.load(__package__, "beat.lua")
        self._acquires = Batches(self._acquire_all)

    async def acquire(
        self, asks: Sequence[Ask], margins: Margins, epoch: int, *, books: bool
    ) -> Answer:
        """Take permits for each ask in order; asks of one moment share a round trip.

        Where *books* is true permits are granted too that hold within AHEAD seconds.
        """
        numbers: dict[str, int] = {}
        keys, of_buckets, of_asks = [f"{self._tag}:fence"], list[str | int](), list[str | int]()
        for ask in asks:
            of_asks += (ask.want, int(ask.lane == "bulk"), ask.holder, len(ask.buckets))
            for bucket in ask.buckets:
                if bucket.key not in numbers:
                    numbers[bucket.key] = len(numbers) + 1
                    keys += self._keys(bucket, epoch)
                    of_buckets += arguments_of(bucket, margins)
                of_asks.append(numbers[bucket.key])
        head = (epoch, _microseconds(AHEAD), _microseconds(LEASE), int(books), len(numbers))
        command = (len(keys), *keys, *head, *of_buckets, len(asks), *of_asks)
        reason, its_epoch, now, *flat = await self._acquires.ask((self._acquire.sha, *command))
        if reason == _OTHER_EPOCH:
            return Answer(its_epoch, now, None)
        return Answer(its_epoch, now, [_permits(flat, i) for i in range(0, len(flat), _NUMBERS)])

    async def report(self, reports: Sequence[Report], epoch: int) -> bool:
        """Tell the store what it may not know; false when the epoch is no longer this one."""
        for start in range(0, len(reports), _REPORTS):
            some = reports[start : start + _REPORTS]
            commands = [self._report_command(report, epoch) for report in some]
            for reply in await self._run_all(self._report, commands):
                if isinstance(reply, StoreAwayError):
                    raise reply
                if reply[0] == _OTHER_EPOCH:
                    return False
        return True

    async def keep_places(
        self, holders: Sequence[tuple[Bucket, Collection[str]]], epoch: int, *, free: bool = False
    ) -> None:
        """Renew the places of calls under way, or free them."""
        lease = 0 if free else _microseconds(LEASE)
        commands: list[Command] = []
        for bucket, names in holders:
            keys = (f"{self._tag}:fence", self._keys(bucket, epoch)[2])
            commands.append((self._places.sha, 2, *keys, epoch, lease, *names))
        if not commands:
            return
        for reply in await self._run_all(self._places, commands):
            if isinstance(reply, StoreAwayError):
                raise reply

    async def beat(
        self,
        process: str,
        *,
        lifetime: float,
        ends: int | None = None,
        leaves: bool = False,
        margins: Margins | None = None,
    ) -> Beat:
        """Say that this process lives, or leaves, and what margins it asks for; end an epoch if it
        is still on."""
        keys = (f"{self._tag}:fence", f"{self._tag}:processes", f"{self._tag}:margins")
        ended = "" if ends is None else str(ends)
        leaving = "1" if leaves else "0"
        asked = [_microseconds(seconds) for seconds in margins or (0.0, 0.0)]
        command = (self._beat.sha, 3, *keys, process, _microseconds(lifetime), ended, leaving)
        [reply] = await self._run_all(self._beat, [(*command, *asked)])
        if isinstance(reply, StoreAwayError):
            raise reply
        epoch, now, live, rank, run, short, long = reply
        return Beat(
            epoch, now, live, rank, run, Margins(short / 1e6, long / 1e6) if short else None
        )

    def _keys(self, bucket: Bucket, epoch: int) -> tuple[str, str, str]:
        rest = f"{epoch}:{bucket.key}"
        return f"{self._tag}:log:{rest}", f"{self._tag}:state:{rest}", f"{self._tag}:places:{rest}"

    def _report_command(self, report: Report, epoch: int) -> Command:
        flat = [
            -1 if report.passed else _microseconds(report.pause),
            -1 if report.refused_after is None else _microseconds(report.refused_after),
        ]
        for age, permits in report.grants:
            flat += (_microseconds(age), permits)
        keys = (f"{self._tag}:fence", *self._keys(report.bucket, epoch))
        of_bucket = arguments_of(report.bucket, USUAL)
        return (self._report.sha, len(keys), *keys, epoch, *of_bucket, *flat)

    async def _acquire_all(self, commands: Sequence[Command]) -> Sequence[Any]:
        return await self._run_all(self._acquire, commands)

    async def _run_all(self, script: Script, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; one that is an error, as StoreAwayError in its place."""
        load = ("SCRIPT LOAD", script.text)
        return await self._trips.run(
            commands, lambda unknown: (load, [("EVALSHA", *command) for command in unknown])
        )


def arguments_of(bucket: Bucket, margins: Margins) -> list[int]:
    """What `bucket.lua` reads of a bucket that is not in Redis: its limits."""
    spans = bucket.spans(margins)
    keep = math.ceil(max(spans, default=0.0) * 2000) + 1000
    flat = [bucket.at_once, keep, _microseconds(bucket.grain), len(bucket.windows)]
    for window, seconds in zip(bucket.windows, spans, strict=True):
        flat += (window.limit, _microseconds(seconds), window.seconds * 1_000_000)
    return flat


def _permits(flat: Sequence[int], start: int) -> Permits:
    granted, delay, wait, reason, place, canaries = flat[start : start + _NUMBERS]
    return Permits(granted, delay / 1e6, wait / 1e6, reason, place, canaries)


def _away(error: BaseException) -> StoreAwayError:
    if isinstance(error, TimeoutError):
        return StoreAwayError("Redis did not answer in time")
    return StoreAwayError(f"Redis: {error}")


def _microseconds(seconds: float) -> int:
    return math.ceil(seconds * 1e6)
