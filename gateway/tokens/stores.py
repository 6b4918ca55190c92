"""Where a fleet shares its tokens, sealed: Redis for speed, Postgres for keeps.

Ages and remaining lives cross the wire, never instants: each store reckons by its own clock, so
that processes whose clocks differ agree on which token is newer and when it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.errors import GatewayError

from . import scripts
from .sealing import Clock, Sealer, read_failure, write_failure
from .token import Credential, Token

REDIS_SECONDS = 0.25
POSTGRES_SECONDS = 1.0
LOCK_SECONDS = 10.0
_REST_SECONDS = 1.0

_SELECT = """
SELECT sealed,
    extract(epoch FROM clock_timestamp() - issued_at)::float8 AS age,
    extract(epoch FROM expires_at - clock_timestamp())::float8 AS remaining
FROM tokens WHERE credential = $1
"""
_UPSERT = """
INSERT INTO tokens AS held
    (credential, app_id, kind, fingerprint, sealed, issued_at, expires_at)
VALUES ($1, $2, $3, $4, $5,
    clock_timestamp() - make_interval(secs => $6), clock_timestamp() + make_interval(secs => $7))
ON CONFLICT (credential) DO UPDATE SET
    fingerprint = excluded.fingerprint, sealed = excluded.sealed,
    issued_at = excluded.issued_at, expires_at = excluded.expires_at
WHERE held.issued_at <= excluded.issued_at OR held.issued_at > clock_timestamp()
"""
_DELETE = "DELETE FROM tokens WHERE credential = $1 AND fingerprint = $2"

T = TypeVar("T")


class StoreAway(Exception):
    """The store does not answer in time or refuses; go on without it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis has for a credential: a token, or a failure that another process met just now."""

    token: Token | None = None
    failure: GatewayError | None = None
    failure_seconds: float = 0.0


class RedisTokens:
    """Tokens, failures and locks in Redis; every method raises StoreAway within 250 ms."""

    def __init__(self, redis: Redis, keys: KeyRing, *, clock: Clock = time.monotonic) -> None:
        self._redis = redis
        self._sealer = Sealer("redis", keys, clock)
        self._resting_until = 0.0
        self._late = 0
        self._look = redis.register_script(scripts.LOOK)
        self._put = redis.register_script(scripts.PUT)
        self._drop = redis.register_script(scripts.DROP)
        self._lock = redis.register_script(scripts.LOCK)
        self._unlock = redis.register_script(scripts.UNLOCK)

    async def look(self, credential: Credential) -> Found:
        """Read the token and the failure; what cannot be read counts as missing."""
        place = _place(credential)
        asked_at = self._sealer.clock()
        now_ms, fields, failure, failure_ms = await self._bounded(
            self._look(keys=[place, f"{place}:failure"])
        )
        token = self._open(credential, asked_at, now_ms, fields)
        if failure is None or failure_ms <= 0:
            return Found(token)
        return Found(token, read_failure(failure, failure_ms / 1000), failure_ms / 1000)

    async def put(self, token: Token) -> None:
        """Share a token unless a newer one is there, and forget the failure."""
        now = self._sealer.clock()
        usable = token.usable_until - now
        if usable <= 0:
            return
        place = _place(token.credential)
        ages = [int((now - token.issued_at) * 1000), int((token.expires_at - now) * 1000)]
        await self._bounded(
            self._put(
                keys=[place, f"{place}:failure"],
                args=[
                    *ages,
                    max(1, int(usable * 1000)),
                    token.fingerprint,
                    self._sealer.seal(token),
                ],
            )
        )

    async def drop(self, token: Token) -> None:
        """Delete the token if it is still exactly this one."""
        await self._bounded(self._drop(keys=[_place(token.credential)], args=[token.fingerprint]))

    async def share_failure(
        self, credential: Credential, error: GatewayError, seconds: float
    ) -> None:
        """Let the other processes answer with this error too, instead of asking Feishu again."""
        key = f"{_place(credential)}:failure"
        await self._bounded(
            self._redis.set(key, write_failure(error), px=max(1, int(seconds * 1000)))
        )

    async def lock(self, credential: Credential, owner: str) -> bool:
        """Take the lock of the credential for ten seconds; False while another has it."""
        keys = [f"{_place(credential)}:lock"]
        return bool(
            await self._bounded(self._lock(keys=keys, args=[owner, int(LOCK_SECONDS * 1000)]))
        )

    async def unlock(self, credential: Credential, owner: str) -> None:
        """Give back the lock if *owner* still has it."""
        await self._bounded(self._unlock(keys=[f"{_place(credential)}:lock"], args=[owner]))

    def _open(
        self, credential: Credential, now: float, now_ms: int, fields: list[Any]
    ) -> Token | None:
        try:
            issued, expires, sealed = fields
            age, left = (now_ms - int(issued)) / 1000, (int(expires) - now_ms) / 1000
        except (TypeError, ValueError):
            return None
        return self._sealer.open(credential, sealed, issued_at=now - age, expires_at=now + left)

    async def _bounded(self, command: Awaitable[T]) -> T:
        if time.monotonic() < self._resting_until:
            # Closed, since a coroutine that is never awaited leaves a warning.
            if isinstance(command, Coroutine):
                command.close()
            raise StoreAway("it did not answer a moment ago")
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                answer = await command
        except TimeoutError as error:
            # The first may be this process's own lateness; a second in a row is Redis.
            self._late += 1
            if self._late > 1:
                self._resting_until = time.monotonic() + _REST_SECONDS
            raise StoreAway("it does not answer in time") from error
        except (RedisError, OSError) as error:
            raise StoreAway(type(error).__name__) from error
        self._late = 0
        return answer


class PostgresTokens:
    """The durable copy; every method raises StoreAway."""

    def __init__(self, database: Database, keys: KeyRing, *, clock: Clock = time.monotonic) -> None:
        self._database = database
        self._sealer = Sealer("postgres", keys, clock)

    async def look(self, credential: Credential) -> Token | None:
        """Read the token within a second; what cannot be read counts as missing."""
        now = self._sealer.clock()
        try:
            async with asyncio.timeout(POSTGRES_SECONDS):
                row = await _stored(self._database.fetchrow(_SELECT, credential.key))
        except TimeoutError as error:
            raise StoreAway("too slow") from error
        if row is None:
            return None
        issued_at, expires_at = now - row["age"], now + row["remaining"]
        return self._sealer.open(credential, row["sealed"], issued_at, expires_at)

    async def put(self, token: Token) -> None:
        """Keep a token unless a newer one is there."""
        now = self._sealer.clock()
        credential = token.credential
        await _stored(
            self._database.execute(
                _UPSERT,
                credential.key,
                credential.app.app_id,
                credential.holder.kind,
                token.fingerprint,
                self._sealer.seal(token),
                now - token.issued_at,
                token.expires_at - now,
            )
        )

    async def drop(self, token: Token) -> None:
        """Delete the token if it is still exactly this one."""
        key, fingerprint = token.credential.key, token.fingerprint
        await _stored(self._database.execute(_DELETE, key, fingerprint))


def _place(credential: Credential) -> str:
    # In braces, so that a Redis cluster keeps the keys of one credential together.
    return f"lark:token:{{{credential.key.hex()}}}"


async def _stored(statement: Awaitable[T]) -> T:
    try:
        return await statement
    except GatewayError as error:
        raise StoreAway(error.message) from error
