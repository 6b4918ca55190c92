"""Asks for one token, and lets the fleet know what came of it."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway.errors import AttemptFailed, GatewayError, Refused
from gateway.metrics import Metrics
from schemas.reply import ErrorType

from .memory import Memory
from .postgres_tokens import PostgresTokens
from .redis_tokens import RedisTokens
from .sources import TokenSource
from .stores import StoreAway, if_there
from .token import Credential, Token
from .writer import Writer

REFUSED_SECONDS = 30.0
"""How long a refusal of Feishu's is answered without asking again."""
FAILED_SECONDS = 1.0
"""How long any other failure is."""

log = structlog.get_logger(__name__)


class Asker:
    """Asks a source once; whose turn it is to do so is decided before."""

    def __init__(
        self,
        source: TokenSource,
        redis: RedisTokens,
        postgres: PostgresTokens,
        writer: Writer,
        memory: Memory,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._redis = redis
        self._postgres = postgres
        self._writer = writer
        self._memory = memory
        self._metrics = metrics
        self._clock = clock

    async def ask(self, credential: Credential, than: Token | None) -> Token:
        """Get a token from Feishu and put it where the fleet looks; raises a GatewayError."""
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
            await self._share_failure(credential, error, seconds)
            raise
        self._metrics.token_refreshes.labels(alias, "ok").inc()
        log.info("token issued", app=alias, seconds=round(token.life))
        await self._share(token)
        return token

    async def _share(self, token: Token) -> None:
        """Put the token where the other processes look: whoever is next does so at once."""
        self._writer.put(token)
        try:
            await self._redis.put(token, insist=True)
        except StoreAway:
            await if_there(self._postgres.put(token))

    async def _share_failure(
        self, credential: Credential, error: GatewayError, seconds: float
    ) -> None:
        try:
            await self._redis.share_failure(credential, error, seconds)
        except StoreAway:
            await if_there(self._postgres.share_failure(credential, error, seconds))

    async def take(self, credential: Credential, than: Token | None) -> Token:
        """Take what the credential's own source has, which counts and logs for itself."""
        try:
            token = await self._issue(credential, than or self._memory.last_rejected(credential))
        except GatewayError as error:
            # Short, since the source knows how long a failure stands, for all processes alike.
            self._memory.fail(credential, error, self._clock() + FAILED_SECONDS)
            raise
        await if_there(self._redis.put(token))
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
