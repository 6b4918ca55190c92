"""Lua scripts, and commands that travel to Redis in one round trip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError

from .redis_client import AWAY

Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A script as text, and the name by which Redis knows it once it has seen it."""

    text: str
    sha: str

    @classmethod
    def load(cls, package: str, *names: str) -> Script:
        """The texts of these files of a package, one behind the other."""
        parts = [files(package).joinpath(name).read_text(encoding="utf-8") for name in names]
        text = "\n".join(parts)
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Sends commands, many at once. `within` opens the time limit of one round trip; `away` makes
    of an error what is raised, or stands in the place of a reply."""

    redis: Redis
    within: Callable[[], AbstractAsyncContextManager[Any]]
    away: Callable[[BaseException], Exception]

    async def send(self, commands: Iterable[Command]) -> list[Any]:
        """The replies in order; one that is an error as Redis gave it."""
        pipeline = self.redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with self.within():
                return await pipeline.execute(raise_on_error=False)
        except AWAY as error:
            raise self.away(error) from error

    async def run(
        self,
        commands: Sequence[Command],
        introduce: Callable[[Sequence[Command]], tuple[Command, Sequence[Command]]],
    ) -> list[Any]:
        """The replies to scripts, each named first of its command, in order.

        *introduce* says what is sent of those whose scripts Redis does not know: one command
        before, and one for each.
        """
        replies = await self.send([("EVALSHA", *command) for command in commands])
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            before, again = introduce([commands[i] for i in unknown])
            _, *late = await self.send([before, *again])
            for i, reply in zip(unknown, late, strict=True):
                replies[i] = reply
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            # The address may lead to the new primary by now; the open connections do not.
            await self.redis.connection_pool.disconnect(inuse_connections=False)
        return [self.away(reply) if isinstance(reply, Exception) else reply for reply in replies]
