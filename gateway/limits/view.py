"""The limits as Redis holds them now, for people to look at. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from gateway.redis_scripts import Script

from .buckets import USUAL, Bucket
from .store import StoreAwayError, arguments_of
from .told import Fleet, together, waiting_prefix

_ROUND = 200
_HEAD = 8
_KINDS = ("log", "state", "places")


@dataclass(frozen=True, slots=True)
class Use:
    """One window: the limit as learnt, and the permits that it holds."""

    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One bucket now. Times are seconds from now; 0 where there is nothing to wait for."""

    bucket: Bucket
    paused_for: float
    canary: bool
    """A request is under way that tests whether the pause is over."""
    factor: float
    factor_for: float
    extra_margin: float
    forgotten_in: float
    under_way: int
    interactive: bool
    """Interactive calls used it in the last minute: bulk leaves them their part."""
    windows: tuple[Use, ...]

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is in use and nothing is learnt."""
        learnt = self.factor < 1 or self.extra_margin > 0
        in_use = self.under_way or any(use.used for use in self.windows)
        return not (in_use or learnt or self.paused_for or self.canary)


class LimitView:
    """Every method raises StoreAwayError, within `timeout` seconds."""

    def __init__(self, redis: Redis, *, prefix: str = "lark", timeout: float = 5.0) -> None:
        self._redis = redis
        self._timeout = timeout
        self._prefix = prefix
        self._tag = f"{{{prefix}:limits}}"
        self._script = Script.load(__package__, "bucket.lua", "show.lua")

    async def epoch(self) -> int | None:
        """Unix time in microseconds since which Redis remembers; None before any gateway ran."""
        async with self._answered():
            fence = await self._redis.get(f"{self._tag}:fence")
            return int(fence) if fence and fence.isdigit() else None

    async def processes(self) -> int:
        """Processes that are heard, or were until ten seconds ago."""
        async with self._answered():
            seconds, microseconds = await self._redis.time()
            since = seconds * 1_000_000 + microseconds - 10_000_000
            return int(await self._redis.zcount(f"{self._tag}:processes", since, "+inf"))

    async def keys(self, epoch: int) -> list[str]:
        """The keys of all buckets of which anything is remembered, in order."""
        found: set[str] = set()
        starts = tuple(f"{self._tag}:{kind}:{epoch}:" for kind in _KINDS)
        async with self._answered():
            async for name in self._redis.scan_iter(match=f"{self._tag}:*:{epoch}:*", count=1000):
                text = name.decode(errors="replace")
                found.update(text.removeprefix(start) for start in starts if text.startswith(start))
        return sorted(found)

    async def look(self, buckets: Sequence[Bucket], epoch: int) -> list[Seen]:
        """How these buckets stand, without those whose keys cannot be read."""
        seen: list[Seen] = []
        for start in range(0, len(buckets), _ROUND):
            some = buckets[start : start + _ROUND]
            async with self._answered():
                replies = await self._run([self._command(bucket, epoch) for bucket in some])
            pairs = zip(some, replies, strict=True)
            seen += [_seen(bucket, reply) for bucket, reply in pairs if reply]
        return seen

    async def fleet(self) -> Fleet:
        """What the processes told of the calls that wait in their hands."""
        async with self._answered():
            match = f"{waiting_prefix(self._prefix)}*"
            names = [name async for name in self._redis.scan_iter(match=match, count=1000)]
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(name)
            return together(await pipeline.execute())

    def _command(self, bucket: Bucket, epoch: int) -> tuple[str | int, ...]:
        keys = [f"{self._tag}:{kind}:{epoch}:{bucket.key}" for kind in _KINDS]
        # The margin that the fleet takes now follows its travel times, and is not the bucket's.
        arguments = arguments_of(bucket, USUAL)
        return (self._script.sha, len(keys) + 1, f"{self._tag}:fence", *keys, epoch, *arguments)

    async def _run(self, commands: Sequence[tuple[str | int, ...]]) -> list[list[int]]:
        try:
            return await self._run_loaded(commands)
        except NoScriptError:
            await self._redis.script_load(self._script.text)
            return await self._run_loaded(commands)

    async def _run_loaded(self, commands: Sequence[tuple[str | int, ...]]) -> list[list[int]]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command("EVALSHA", *command)
        return cast("list[list[int]]", await pipeline.execute())

    @asynccontextmanager
    async def _answered(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError as error:
            raise StoreAwayError("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            raise StoreAwayError(f"Redis: {error}") from error


def _seen(bucket: Bucket, reply: Sequence[int]) -> Seen:
    pause, canary, factor, whole, extra, forgotten, under_way, interactive = reply[:_HEAD]
    rest = reply[_HEAD:]
    return Seen(
        bucket,
        paused_for=pause / 1e6,
        canary=bool(canary),
        factor=factor / 1e6,
        factor_for=whole / 1e6,
        extra_margin=extra / 1e6,
        forgotten_in=forgotten / 1e6,
        under_way=under_way,
        interactive=bool(interactive),
        windows=tuple(map(Use, rest[::2], rest[1::2])),
    )
