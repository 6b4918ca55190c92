"""The limiter's scripts in Redis, and what it means when they cannot be run."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from .batches import Batches, Command
from .buckets import Bucket

PAUSED = 2
OTHER_EPOCH = 3
_REPORTS = 100


class StoreAwayError(Exception):
    """Redis did not run a script."""


class Answer(NamedTuple):
    """What acquire.lua replies; `wait` in seconds, `epoch` and `now` in microseconds."""

    granted: int
    wait: float
    reason: int
    epoch: int
    now: int


class Beat(NamedTuple):
    """What beat.lua replies; `epoch` and `now` in microseconds."""

    epoch: int
    now: int
    live: int
    rank: int
    run: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What one bucket's log may lack: seconds ago and permits of each grant, seconds to pause."""

    bucket: Bucket
    grants: Sequence[tuple[float, int]]
    pause: float


class LimitStore:
    """Runs the scripts. Everything raises StoreAwayError, within `timeout` seconds.

    All keys carry one hash tag, so that a cluster keeps them in one slot: one script may take
    from several buckets, and one fence vouches for all logs. A single shard runs ten thousand
    scripts a second and more, far above what Feishu's limits let through.
    """

    def __init__(self, redis: Redis, *, prefix: str, timeout: float) -> None:
        self._redis = redis
        self._timeout = timeout
        self._tag = f"{{{prefix}:limits}}"
        self._acquire = _Script.load("acquire.lua")
        self._report = _Script.load("report.lua")
        self._beat = _Script.load("beat.lua")
        self._acquires = Batches(self._acquire_all)

    async def acquire(self, bucket: Bucket, want: int, epoch: int) -> Answer:
        """Take up to `want` permits; calls of one moment share a round trip."""
        arguments = [epoch, want, _ttl(bucket)]
        for window, seconds in zip(bucket.windows, bucket.spans, strict=True):
            arguments += (window.limit, _microseconds(seconds))
        keys = self._keys(bucket, epoch)
        reply = await self._acquires.ask((self._acquire.sha, 3, *keys, *arguments))
        granted, wait, reason, its_epoch, now = reply
        return Answer(granted, wait / 1e6, reason, its_epoch, now)

    async def report(self, reports: Sequence[Report], epoch: int) -> bool:
        """Add to the logs; false when the epoch is no longer this one."""
        for start in range(0, len(reports), _REPORTS):
            some = reports[start : start + _REPORTS]
            commands = [self._report_command(report, epoch) for report in some]
            replies = await self._run_all(self._report, commands)
            for reply in replies:
                if isinstance(reply, StoreAwayError):
                    raise reply
                if reply[2] == OTHER_EPOCH:
                    return False
        return True

    async def beat(
        self, process: str, *, lifetime: float, ends: int | None = None, leaves: bool = False
    ) -> Beat:
        """Say that this process lives, or leaves; end an epoch if it is still on."""
        keys = (f"{self._tag}:fence", f"{self._tag}:processes")
        ended = "" if ends is None else str(ends)
        leaving = "1" if leaves else "0"
        command = (self._beat.sha, 2, *keys, process, _microseconds(lifetime), ended, leaving)
        [reply] = await self._run_all(self._beat, [command])
        if isinstance(reply, StoreAwayError):
            raise reply
        return Beat(*reply)

    def _keys(self, bucket: Bucket, epoch: int) -> tuple[str, str, str]:
        tag = self._tag
        return (
            f"{tag}:fence",
            f"{tag}:log:{epoch}:{bucket.key}",
            f"{tag}:pause:{epoch}:{bucket.key}",
        )

    def _report_command(self, report: Report, epoch: int) -> Command:
        flat: list[int] = []
        for age, permits in report.grants:
            flat += (_microseconds(age), permits)
        keys = self._keys(report.bucket, epoch)
        pause = _microseconds(report.pause)
        return (self._report.sha, 3, *keys, epoch, _ttl(report.bucket), pause, *flat)

    async def _acquire_all(self, commands: Sequence[Command]) -> Sequence[Any]:
        return await self._run_all(self._acquire, commands)

    async def _run_all(self, script: _Script, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; one that is an error, as StoreAwayError in its place."""
        replies = await self._pipeline([("EVALSHA", *command) for command in commands])
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            again = [("EVALSHA", *commands[i]) for i in unknown]
            _, *late = await self._pipeline([("SCRIPT LOAD", script.text), *again])
            for i, reply in zip(unknown, late, strict=True):
                replies[i] = reply
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            # The address may lead to the new primary by now; the open connections do not.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
        return [_away(reply) if isinstance(reply, Exception) else reply for reply in replies]

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(self._timeout):
                return await pipeline.execute(raise_on_error=False)
        except TimeoutError as error:
            raise StoreAwayError("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            raise _away(error) from error


@dataclass(frozen=True, slots=True)
class _Script:
    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> _Script:
        text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _away(error: Exception) -> StoreAwayError:
    return StoreAwayError(f"Redis: {error}")


def _microseconds(seconds: float) -> int:
    return math.ceil(seconds * 1e6)


def _ttl(bucket: Bucket) -> int:
    return math.ceil(bucket.longest * 2000) + 1000
