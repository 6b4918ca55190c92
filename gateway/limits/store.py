"""The limiter's scripts in Redis, and what it means when they cannot be run."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from .buckets import Bucket, span

PAUSED = 2
OTHER_EPOCH = 3
_PIPELINE = 100


class StoreAwayError(Exception):
    """Redis did not run a script. `forgetful` when it may have lost what it knew."""

    def __init__(self, message: str, *, forgetful: bool) -> None:
        super().__init__(message)
        self.forgetful = forgetful


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
        self._command: Callable[..., Awaitable[Any]] = redis.execute_command
        self._timeout = timeout
        self._tag = f"{{{prefix}:limits}}"
        self._acquire = _Script.load("acquire.lua")
        self._report = _Script.load("report.lua")
        self._beat = _Script.load("beat.lua")

    async def acquire(self, bucket: Bucket, want: int, epoch: int) -> Answer:
        """Take up to `want` permits."""
        arguments = [epoch, want, _ttl(bucket)]
        for window in bucket.windows:
            arguments += (window.limit, _microseconds(span(window)))
        keys = self._keys(bucket, epoch)
        granted, wait, reason, its_epoch, now = await self._run(self._acquire, 3, *keys, *arguments)
        return Answer(granted, wait / 1e6, reason, its_epoch, now)

    async def report(self, reports: Sequence[Report], epoch: int) -> bool:
        """Add to the logs; false when the epoch is no longer this one."""
        for start in range(0, len(reports), _PIPELINE):
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.execute_command("SCRIPT LOAD", self._report.text)
            for report in reports[start : start + _PIPELINE]:
                pipeline.execute_command(*self._report_command(report, epoch))
            _, *replies = await self._guarded(pipeline.execute())
            if any(reply[2] == OTHER_EPOCH for reply in replies):
                return False
        return True

    async def beat(
        self, process: str, *, lifetime: float, ends: int | None = None, leaves: bool = False
    ) -> Beat:
        """Say that this process lives, or leaves; end an epoch if it is still on."""
        keys = (f"{self._tag}:fence", f"{self._tag}:processes")
        ended = "" if ends is None else str(ends)
        leaving = "1" if leaves else "0"
        reply = await self._run(
            self._beat, 2, *keys, process, _microseconds(lifetime), ended, leaving
        )
        return Beat(*reply)

    def _keys(self, bucket: Bucket, epoch: int) -> tuple[str, str, str]:
        tag = self._tag
        return (
            f"{tag}:fence",
            f"{tag}:log:{epoch}:{bucket.key}",
            f"{tag}:pause:{epoch}:{bucket.key}",
        )

    def _report_command(self, report: Report, epoch: int) -> tuple[str | int, ...]:
        flat: list[int] = []
        for age, permits in report.grants:
            flat += (_microseconds(age), permits)
        return (
            *("EVALSHA", self._report.sha, 3, *self._keys(report.bucket, epoch)),
            *(epoch, _ttl(report.bucket), _microseconds(report.pause), *flat),
        )

    async def _run(self, script: _Script, *arguments: str | int) -> Any:
        try:
            return await self._guarded(self._command("EVALSHA", script.sha, *arguments))
        except _UnknownScriptError:
            return await self._guarded(self._command("EVAL", script.text, *arguments))

    async def _guarded(self, work: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except TimeoutError as error:
            raise StoreAwayError("Redis did not answer in time", forgetful=False) from error
        except NoScriptError as error:
            raise _UnknownScriptError(str(error), forgetful=False) from error
        except ReadOnlyError as error:
            # The address may lead to the new primary by now; the open connections do not.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise StoreAwayError(f"Redis: {error}", forgetful=True) from error
        except (RedisError, OSError) as error:
            forgetful = isinstance(error, RedisConnectionError | OSError)
            raise StoreAwayError(f"Redis: {error}", forgetful=forgetful) from error


class _UnknownScriptError(StoreAwayError):
    """The script is not loaded, as after a restart."""


@dataclass(frozen=True, slots=True)
class _Script:
    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> _Script:
        text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _microseconds(seconds: float) -> int:
    return math.ceil(seconds * 1e6)


def _ttl(bucket: Bucket) -> int:
    return math.ceil(bucket.longest * 2000) + 1000
