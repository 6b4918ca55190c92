"""Gets one token from where it is to be had: Redis, else Postgres, else Feishu."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from gateway.errors import AttemptFailed, GatewayError, Refused
from gateway.metrics import Metrics
from schemas.reply import ErrorType

from .memory import Memory
from .sources import TokenSource
from .stores import Found, PostgresTokens, RedisTokens, StoreAway
from .token import Credential, Token
from .writer import Writer

REFUSED_SECONDS = 30.0
"""How long a refusal of Feishu's is answered without asking again."""
FAILED_SECONDS = 1.0
"""How long any other failure is."""
_POLL_SECONDS = 0.05

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Fetcher:
    """Fetches tokens so that one process of the fleet asks Feishu and the others get its answer.

    While Redis is away every process asks for itself.
    """

    def __init__(
        self,
        source: TokenSource,
        redis: RedisTokens,
        postgres: PostgresTokens,
        writer: Writer,
        memory: Memory,
        metrics: Metrics,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._source = source
        self._redis = redis
        self._postgres = postgres
        self._writer = writer
        self._memory = memory
        self._metrics = metrics
        self._clock = clock
        self._draw = draw

    async def fetch(self, credential: Credential, than: Token | None) -> Token:
        """Return a usable token, newer *than* the given one; raises a GatewayError."""
        return await self._find(credential, than) or await self._ask_for_all(credential, than)

    async def _find(self, credential: Credential, than: Token | None) -> Token | None:
        """Look in the stores; raises the failure that another process met a moment ago."""
        found = await _if_there(self._redis.look(credential)) or Found()
        if self._accepts(found.token, than):
            return found.token
        if credential.durable_elsewhere:
            return None
        token = await _if_there(self._postgres.look(credential))
        if token is not None and self._accepts(token, than):
            await _if_there(self._redis.put(token))
            return token
        self._raise_shared(credential, found)
        return None

    async def _ask_for_all(self, credential: Credential, than: Token | None) -> Token:
        """Ask Feishu, unless another process does and shares what it got."""
        if credential.durable_elsewhere:
            return await self._take(credential, than)
        owner = secrets.token_hex(16)
        try:
            token = await self._turn(credential, owner, than)
            return token or await self._ask(credential, than)
        finally:
            await _if_there(self._redis.unlock(credential, owner))

    async def _turn(self, credential: Credential, owner: str, than: Token | None) -> Token | None:
        """Wait for the lock, or for the token or the failure of the process that has it.

        A process that dies holds the others up until its lock ends, ten seconds at most.
        """
        try:
            while True:
                mine = await self._redis.lock(credential, owner)
                # Also when it is ours: the one before may have finished just now.
                found = await self._redis.look(credential)
                if self._accepts(found.token, than):
                    return found.token
                self._raise_shared(credential, found)
                if mine:
                    return None
                await asyncio.sleep(_POLL_SECONDS * (0.5 + self._draw()))
        except StoreAway:
            return None

    async def _ask(self, credential: Credential, than: Token | None) -> Token:
        alias = credential.app.alias
        try:
            token = await self._issue(credential, than)
        except GatewayError as error:
            self._metrics.token_refreshes.labels(alias, error.type).inc()
            log.warning("no token issued", app=alias, type=error.type, code=error.code)
            seconds = error.retry_after or FAILED_SECONDS
            if isinstance(error, Refused):
                seconds = REFUSED_SECONDS
            self._memory.fail(credential, error, self._clock() + seconds)
            await _if_there(self._redis.share_failure(credential, error, seconds))
            raise
        self._metrics.token_refreshes.labels(alias, "ok").inc()
        log.info("token issued", app=alias, seconds=round(token.life))
        self._writer.put(token)
        await _if_there(self._redis.put(token))
        return token

    async def _take(self, credential: Credential, than: Token | None) -> Token:
        """Take what the credential's own source has, which counts and logs for itself."""
        try:
            token = await self._issue(credential, than or self._memory.last_rejected(credential))
        except GatewayError as error:
            # Short, since the source knows how long a failure stands, for all processes alike.
            self._memory.fail(credential, error, self._clock() + FAILED_SECONDS)
            raise
        await _if_there(self._redis.put(token))
        return token

    async def _issue(self, credential: Credential, than: Token | None) -> Token:
        # Taken before the request, so that a slow answer makes the token older, never younger.
        asked_at = self._clock()
        issued = await self._source.issue(credential, than)
        token = Token(issued.token, credential, asked_at, asked_at + issued.expires_in)
        now = self._clock()
        self._memory.confirm(token, now)
        if now >= token.usable_until:
            raise AttemptFailed(
                ErrorType.FEISHU_UNAVAILABLE, "the token that Feishu gave out is at its end"
            )
        return token

    def _accepts(self, token: Token | None, than: Token | None) -> bool:
        return token is not None and self._memory.accepts(token, self._clock(), than)

    def _raise_shared(self, credential: Credential, found: Found) -> None:
        if found.failure is not None:
            until = self._clock() + found.failure_seconds
            self._memory.fail(credential, found.failure, until)
            raise found.failure


async def _if_there(command: Awaitable[T]) -> T | None:
    try:
        return await command
    except StoreAway:
        return None
