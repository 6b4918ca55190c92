"""Renews a token because an operator says so, though the one in use may live."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from gateway.errors import GatewayError, NotNow, Refused
from gateway.redis_client import AWAY
from schemas.reply import ErrorType

from .asker import FAILED_SECONDS, REFUSED_SECONDS
from .postgres_tokens import PostgresTokens
from .redis_tokens import REDIS_SECONDS, RedisTokens
from .sources import TokenSource
from .stores import Found, StoreAway, Turns
from .token import Credential, Token

MOST_A_MINUTE: Final = 10
"""Forced renewals of one app, by all operators and scripts together."""
JOIN_SECONDS: Final = 5.0
"""Whoever asks so soon after another gets what that one got."""
_POLL_SECONDS: Final = 0.05
# Takes one of so many places of the last minute, or says for how many milliseconds none is free.
_COUNT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
    local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    return math.max(1, first[2] + 60000 - now)
end
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('PEXPIRE', KEYS[1], 60000)
return 0
"""


@dataclass(frozen=True, slots=True)
class Renewed:
    """What came of it: the token now in use, and the one before where a store had one."""

    token: Token
    before: Token | None
    age: float | None
    """Seconds since another asked for this token; None where we did."""

    @property
    def is_unchanged(self) -> bool:
        """Whether Feishu gave out the same token again, as it does until half an hour is left."""
        return self.before is not None and self.before.value == self.token.value


class ForcedRenewals:
    """Asks Feishu for a token at once, one at a time in the fleet, and lets every process know."""

    def __init__(
        self,
        source: TokenSource,
        client: Redis,
        redis: RedisTokens,
        postgres: PostgresTokens,
        *,
        join_seconds: float = JOIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*client* is the Redis of *redis*, and *clock* the one of both stores."""
        self._source = source
        self._redis = redis
        self._postgres = postgres
        self._join_seconds = join_seconds
        self._clock = clock
        self._count = client.register_script(_COUNT)

    async def renew(self, credential: Credential) -> Renewed:
        """Get a token from its source; a process that has another forgets it within a second.

        Raises NotNow where the app had its renewals of this minute, and else what the source does.
        """
        await self._take_place(credential)
        owner = secrets.token_hex(16)
        for turns in (self._redis, self._postgres):
            with suppress(StoreAway):
                return await self._in_turn(turns, credential, owner)
        return await self._ask(credential, None)

    async def _take_place(self, credential: Credential) -> None:
        """Count against the minute's limit, for which Redis is needed: without it all may."""
        app = credential.app
        key = f"lark:token:forced:{{{app.domain} {app.app_id}}}"
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                wait = await self._count(keys=[key], args=[MOST_A_MINUTE, secrets.token_hex(8)])
        except AWAY:
            return
        if seconds := int(wait) / 1000:
            raise NotNow(
                ErrorType.RATE_LIMITED,
                f"{MOST_A_MINUTE} renewals of tokens of {app.app_id} were forced within a minute; "
                f"the next may be in {seconds:.0f} s",
                retry_after=seconds,
            )

    async def _in_turn(self, turns: Turns, credential: Credential, owner: str) -> Renewed:
        """Ask when it is our turn; whoever waited for another takes what that one got."""
        waited = False
        try:
            while True:
                mine = await turns.lock(credential, owner)
                found = await turns.look(credential)
                if (joined := self._joined(found)) is not None:
                    return joined
                if waited and found.failure is not None:
                    raise found.failure
                if mine:
                    return await self._ask(credential, found.token)
                waited = True
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            with suppress(StoreAway):
                await turns.unlock(credential, owner)

    def _joined(self, found: Found) -> Renewed | None:
        if found.token is None:
            return None
        age = max(0.0, self._clock() - found.token.issued_at)
        return Renewed(found.token, None, age) if age < self._join_seconds else None

    async def _ask(self, credential: Credential, before: Token | None) -> Renewed:
        if before is None and not credential.durable_elsewhere:
            with suppress(StoreAway):
                before = (await self._postgres.look(credential)).token
        if before is None and credential.durable_elsewhere:
            # Its source gives the token that it has, unless it is told that another is wanted.
            before = await self._issue(credential, None)
        token = await self._issue(credential, before)
        await self._share(token, before)
        return Renewed(token, before, None)

    async def _issue(self, credential: Credential, than: Token | None) -> Token:
        asked_at = self._clock()
        try:
            issued = await self._source.issue(credential, than)
        except GatewayError as error:
            seconds = error.retry_after or FAILED_SECONDS
            if isinstance(error, Refused):
                seconds = REFUSED_SECONDS
            with suppress(StoreAway):
                await self._redis.share_failure(credential, error, seconds)
            raise
        return Token(issued.token, credential, asked_at, asked_at + issued.expires_in)

    async def _share(self, token: Token, before: Token | None) -> None:
        """Put the token where processes look, and only then let them forget the one before."""
        with suppress(StoreAway):
            await self._redis.put(token)
        if not token.credential.durable_elsewhere:
            with suppress(StoreAway):
                await self._postgres.put(token)
        if before is not None and before.value != token.value:
            with suppress(StoreAway):
                await self._postgres.drop(before)
