"""Tokens in Redis, sealed, for speed; and whose turn it is to ask Feishu.

Ages and remaining lives cross the wire, never instants: each store reckons by its own clock, so
that processes whose clocks differ agree on which token is newer and when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.crypto import KeyRing
from gateway.errors import GatewayError

from . import scripts
from .sealing import Clock, Sealer, read_failure, write_failure
from .stores import LOCK_SECONDS, Bound, Found, StoreAway
from .token import Credential, Token

REDIS_SECONDS = 0.25
_AT_ONCE = 32

T = TypeVar("T")


class RedisTokens:
    """Tokens, failures and turns in Redis; every method raises StoreAway within 250 ms.

    What the processes agree by is insisted on, as long as Redis seems to be busy and not away.
    """

    def __init__(self, redis: Redis, keys: KeyRing, *, clock: Clock = time.monotonic) -> None:
        self._redis = redis
        self._sealer = Sealer("redis", keys, clock)
        self._bound = Bound(REDIS_SECONDS, _AT_ONCE)
        self._look = redis.register_script(scripts.LOOK)
        self._put = redis.register_script(scripts.PUT)
        self._drop = redis.register_script(scripts.DROP)
        self._lock = redis.register_script(scripts.LOCK)
        self._unlock = redis.register_script(scripts.UNLOCK)

    async def look(self, credential: Credential) -> Found:
        """Read the token and the failure; what cannot be read counts as missing."""
        place = _place(credential)

        async def read() -> Found:
            asked_at = self._sealer.clock()
            now_ms, fields, failure, failure_ms = await self._look(keys=[place, f"{place}:failure"])
            token = self._open(credential, asked_at, now_ms, fields)
            if failure is None or failure_ms <= 0:
                return Found(token)
            return Found(token, read_failure(failure, failure_ms / 1000), failure_ms / 1000)

        return await self._bounded(read)

    async def put(self, token: Token, *, insist: bool = False) -> None:
        """Share a token unless a newer one is there, and forget the failure."""
        place = _place(token.credential)

        async def write() -> None:
            now = self._sealer.clock()
            usable = int((token.usable_until - now) * 1000)
            if usable <= 0:
                return
            ages = [int((now - token.issued_at) * 1000), int((token.expires_at - now) * 1000)]
            await self._put(
                keys=[place, f"{place}:failure"],
                args=[*ages, usable, token.fingerprint, self._sealer.seal(token)],
            )

        await self._bounded(write, insist=insist)

    async def drop(self, token: Token) -> None:
        """Delete the token if it is still exactly this one."""
        keys = [_place(token.credential)]
        await self._bounded(lambda: self._drop(keys=keys, args=[token.fingerprint]))

    async def forget(self, credential: Credential) -> None:
        """Delete whatever is shared of the credential."""
        place = _place(credential)

        async def delete() -> None:
            await self._redis.delete(place, f"{place}:failure")

        await self._bounded(delete)

    async def share_failure(
        self, credential: Credential, error: GatewayError, seconds: float
    ) -> None:
        """Let the other processes answer with this error too, instead of asking Feishu again."""
        key, failure = f"{_place(credential)}:failure", write_failure(error)

        async def write() -> None:
            await self._redis.set(key, failure, px=max(1, int(seconds * 1000)))

        await self._bounded(write)

    async def lock(self, credential: Credential, owner: str) -> bool:
        """Take the turn to ask for ten seconds; False while another has it."""
        keys, lasting = [f"{_place(credential)}:lock"], int(LOCK_SECONDS * 1000)

        async def take() -> bool:
            return bool(await self._lock(keys=keys, args=[owner, lasting]))

        return await self._bounded(take, insist=True)

    async def unlock(self, credential: Credential, owner: str) -> None:
        """Give the turn back if *owner* still has it."""
        keys = [f"{_place(credential)}:lock"]
        await self._bounded(lambda: self._unlock(keys=keys, args=[owner]))

    def _open(
        self, credential: Credential, now: float, now_ms: int, fields: list[Any]
    ) -> Token | None:
        try:
            issued, expires, sealed = fields
            age, left = (now_ms - int(issued)) / 1000, (int(expires) - now_ms) / 1000
        except (TypeError, ValueError):
            return None
        return self._sealer.open(credential, sealed, issued_at=now - age, expires_at=now + left)

    async def _bounded(
        self, command: Callable[[], Coroutine[Any, Any, T]], *, insist: bool = False
    ) -> T:
        try:
            return await (self._bound.insist(command) if insist else self._bound.run(command))
        except (RedisError, OSError) as error:
            raise StoreAway(type(error).__name__) from error


def _place(credential: Credential) -> str:
    # In braces, so that a Redis cluster keeps the keys of one credential together.
    return f"lark:token:{{{credential.key.hex()}}}"
