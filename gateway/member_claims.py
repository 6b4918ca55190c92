"""Which member of a pool has a call whose repeats only that app's Feishu would discard."""

from __future__ import annotations

import asyncio
from typing import Final

from redis.asyncio import Redis

from .redis_client import AWAY

WINDOW_SECONDS: Final = 3600
"""Feishu discards repeats for an hour; later the claim would be worth nothing."""
_TIMEOUT: Final = 0.1


class MemberClaims:
    """Kept in Redis before the call is sent, so that it outlives the process that sends it.

    Never raises because of Redis: a call that is sent while it is away has no claim, and may be
    executed by two members where its process also crashes.
    """

    def __init__(self, redis: Redis, *, prefix: str = "lark") -> None:
        self._redis = redis
        self._prefix = prefix

    async def take(self, pool: str, call_id: str, member: str) -> str | None:
        """Claim the call for a member, unless it was claimed before; returns for whom, then."""
        key = self._key(pool, call_id)
        try:
            async with asyncio.timeout(_TIMEOUT):
                if await self._redis.set(key, member, nx=True, ex=WINDOW_SECONDS):
                    return None
                holder = await self._redis.get(key)
        except AWAY:
            return None
        return holder.decode() if isinstance(holder, bytes) else None

    async def give(self, pool: str, call_id: str, member: str) -> None:
        """Pass the call on to this member: the one before surely has not executed it."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._redis.set(self._key(pool, call_id), member, ex=WINDOW_SECONDS)
        except AWAY:
            return

    async def drop(self, pool: str, call_id: str) -> None:
        """Nobody has executed the call."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._redis.delete(self._key(pool, call_id))
        except AWAY:
            return

    def _key(self, pool: str, call_id: str) -> str:
        # Neither holds a bar.
        return f"{self._prefix}:member:{pool}|{call_id}"
