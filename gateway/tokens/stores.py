"""What the stores of tokens have in common: they answer in time, or the fleet goes on without."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gateway.errors import GatewayError

from .token import Credential, Token

LOCK_SECONDS = 10.0
_REST_SECONDS = 1.0
_BUSY_SECONDS, _AGAIN_SECONDS = 2.0, 0.1
_OWN_SECONDS = 0.1
"""A process that wakes up so much too late blames itself, some periods long."""
_PERIODS = 4

T = TypeVar("T")


class StoreAway(Exception):
    """The store does not answer in time or refuses; go on without it."""


class StoreLate(StoreAway):
    """The store does not answer in time, which a busy one does not either."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a store has: a token, or a failure that another process met just now."""

    token: Token | None = None
    failure: GatewayError | None = None
    failure_seconds: float = 0.0


class Turns(Protocol):
    """A store in which one process of the fleet gets the turn to ask Feishu.

    Every method raises StoreAway.
    """

    async def look(self, credential: Credential) -> Found:
        """Read the token and the failure; what cannot be read counts as missing."""
        ...

    async def lock(self, credential: Credential, owner: str) -> bool:
        """Take the turn for ten seconds; False while another has it."""
        ...

    async def unlock(self, credential: Credential, owner: str) -> None:
        """Give the turn back if *owner* still has it."""
        ...

    async def share_failure(
        self, credential: Credential, error: GatewayError, seconds: float
    ) -> None:
        """Let the others answer with this error too, instead of asking Feishu again."""
        ...


class Bound:
    """Lets commands take so many seconds, so many at a time, and spares a store that is late.

    Waiting for one's place does not count, so that a crowd does not make a store look slow.
    """

    def __init__(self, seconds: float, at_once: int) -> None:
        self._seconds = seconds
        self._places = asyncio.Semaphore(at_once)
        self._resting_until = 0.0
        self._late = 0
        self._answered_at = -math.inf

    async def insist(self, command: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The same again and again, while the store answered others two seconds ago or later.

        A busy store is late for some and not for others, and those would not agree on anything.
        """
        while True:
            try:
                return await self.run(command)
            except StoreLate:
                if time.monotonic() > self._answered_at + _BUSY_SECONDS:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)

    async def run(self, command: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the command does; raises StoreLate where it is late, or others were."""
        async with self._places:
            if time.monotonic() < self._resting_until:
                raise StoreLate("it did not answer a moment ago")
            try:
                answer = await self._in_time(command())
            except TimeoutError as error:
                # The first may be an accident; a second in a row is the store.
                self._late += 1
                if self._late > 1:
                    self._resting_until = time.monotonic() + _REST_SECONDS
                raise StoreLate("it does not answer in time") from error
            self._late = 0
            self._answered_at = time.monotonic()
            return answer

    async def _in_time(self, command: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(command)
        try:
            for _ in range(_PERIODS):
                until = time.monotonic() + self._seconds
                await asyncio.wait({task}, timeout=self._seconds)
                if task.done():
                    return await task
                if time.monotonic() - until < _OWN_SECONDS:
                    break
                # This process slept through the moment itself: the answer may have come since.
            raise TimeoutError
        finally:
            task.cancel()


async def if_there(command: Awaitable[T]) -> T | None:
    """What the store says, or None while it is away."""
    try:
        return await command
    except StoreAway:
        return None
