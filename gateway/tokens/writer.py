"""Writes to Postgres off the callers' path, kept and tried again while Postgres is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from .postgres_tokens import PostgresTokens
from .stores import StoreAway
from .token import Token

_MOST_PENDING = 10_000
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Put:
    token: Token


@dataclass(frozen=True, slots=True)
class _Drop:
    token: Token


class Writer:
    """Brings the newest state of each credential to Postgres, in the background.

    Only the last word on a credential is kept: a newer token overwrites the row that an earlier
    deletion was for. Beyond 10,000 credentials the oldest is forgotten, since its token can be had
    from Redis or Feishu.
    """

    def __init__(
        self, postgres: PostgresTokens, *, draw: Callable[[], float] = random.random
    ) -> None:
        self._postgres = postgres
        self._draw = draw
        self._pending: dict[bytes, _Put | _Drop] = {}
        self._task: asyncio.Task[None] | None = None

    def put(self, token: Token) -> None:
        """Keep this token, soon."""
        self._add(_Put(token))

    def drop(self, token: Token) -> None:
        """Delete exactly this token, soon."""
        pending = self._pending.get(token.credential.key)
        if isinstance(pending, _Put) and pending.token != token:
            return
        self._add(_Drop(token))

    async def close(self, seconds: float) -> None:
        """Give what is pending this long, then let it go."""
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=seconds)
        self._task.cancel()
        await asyncio.wait([self._task])

    def _add(self, change: _Put | _Drop) -> None:
        key = change.token.credential.key
        self._pending.pop(key, None)
        self._pending[key] = change
        if len(self._pending) > _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        pause = _FIRST_PAUSE
        while self._pending:
            key, change = next(iter(self._pending.items()))
            try:
                if isinstance(change, _Put):
                    await self._postgres.put(change.token)
                else:
                    await self._postgres.drop(change.token)
            except StoreAway as error:
                if pause == _FIRST_PAUSE:
                    log.warning(
                        "token waits for Postgres", reason=str(error), pending=len(self._pending)
                    )
                if self._pending.get(key) is change:
                    # Behind the others: it may be this row alone that is locked.
                    self._pending[key] = self._pending.pop(key)
                await asyncio.sleep(pause * (0.5 + self._draw()))
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            if self._pending.get(key) is change:
                del self._pending[key]
