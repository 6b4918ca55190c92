"""Gets one token from where it is to be had: Redis, else Postgres, else Feishu."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeGuard

from gateway.metrics import Metrics

from .asker import Asker
from .memory import Memory
from .postgres_tokens import PostgresTokens
from .redis_tokens import RedisTokens
from .stores import Found, StoreAway, StoreLate, Turns, if_there
from .token import Credential, Token

_FIRST_POLL = 0.05
_LONGEST_POLL = 0.5
_POLL_GROWTH = 1.5
_AT_ONCE = 32


class Fetcher:
    """Fetches tokens so that one process of the fleet asks Feishu and the others get its answer.

    Redis says whose turn it is, Postgres while Redis is away; without both every process asks for
    itself.
    """

    def __init__(
        self,
        asker: Asker,
        redis: RedisTokens,
        postgres: PostgresTokens,
        memory: Memory,
        metrics: Metrics,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._asker = asker
        self._redis = redis
        self._postgres = postgres
        self._memory = memory
        self._metrics = metrics
        self._clock = clock
        self._draw = draw
        self._doors: dict[tuple[str, str], asyncio.Semaphore] = {}

    async def fetch(self, credential: Credential, than: Token | None) -> Token:
        """Return a usable token, newer *than* the given one; raises a GatewayError."""
        return await self._find(credential, than) or await self._ask_for_all(credential, than)

    async def _find(self, credential: Credential, than: Token | None) -> Token | None:
        """Look in the stores; raises the failure that another process met a moment ago."""
        found = await self._look("redis", self._redis, credential, than)
        if found.token is not None or credential.durable_elsewhere:
            return found.token
        kept = await self._look("postgres", self._postgres, credential, than)
        if kept.token is not None:
            await if_there(self._redis.put(kept.token))
            return kept.token
        self._raise_shared(credential, found)
        self._raise_shared(credential, kept)
        return None

    async def _look(
        self, layer: str, store: Turns, credential: Credential, than: Token | None
    ) -> Found:
        """Read one store; a token that cannot be used, or a store that is away, counts as none."""
        try:
            found = await store.look(credential)
        except StoreAway:
            return Found()
        if self._accepts(found.token, than):
            self._metrics.token_cache_hits.labels(layer).inc()
            return found
        self._metrics.token_cache_misses.labels(layer).inc()
        return replace(found, token=None)

    async def _ask_for_all(self, credential: Credential, than: Token | None) -> Token:
        """Ask Feishu, unless another process does and shares what it got."""
        if credential.durable_elsewhere:
            return await self._asker.take(credential, than)
        owner = secrets.token_hex(16)
        for turns in (self._redis, self._postgres):
            with suppress(StoreAway):
                return await self._in_turn(turns, credential, owner, than)
        async with self._door(credential):
            return await self._asker.ask(credential, than)

    async def _in_turn(
        self, turns: Turns, credential: Credential, owner: str, than: Token | None
    ) -> Token:
        """Wait for the turn, or for the token or the failure of the process that has it.

        A process that dies holds the others up until its turn ends, ten seconds at most.
        """
        pause = _FIRST_POLL
        try:
            while True:
                # Before the turn is taken, so that it does not end while its holder waits here.
                async with self._door(credential):
                    mine = await turns.lock(credential, owner)
                    # Also when it is ours: the one before may have finished just now.
                    try:
                        found = await turns.look(credential)
                    except StoreLate:
                        continue
                    if self._accepts(found.token, than):
                        return found.token
                    self._raise_shared(credential, found)
                    if mine:
                        return await self._asker.ask(credential, than)
                await asyncio.sleep(pause * (0.5 + self._draw()))
                pause = min(pause * _POLL_GROWTH, _LONGEST_POLL)
        finally:
            await if_there(turns.unlock(credential, owner))

    def _door(self, credential: Credential) -> asyncio.Semaphore:
        """Lets in so many at once per cloud, so that a crowd is not late by its own number.

        Each kind has a door of its own: a tenant's token may need its app's token first.
        """
        place = (credential.app.domain, credential.holder.kind)
        if place not in self._doors:
            self._doors[place] = asyncio.Semaphore(_AT_ONCE)
        return self._doors[place]

    def _accepts(self, token: Token | None, than: Token | None) -> TypeGuard[Token]:
        return token is not None and self._memory.accepts(token, self._clock(), than)

    def _raise_shared(self, credential: Credential, found: Found) -> None:
        if found.failure is not None:
            until = self._clock() + found.failure_seconds
            self._memory.fail(credential, found.failure, until)
            raise found.failure
