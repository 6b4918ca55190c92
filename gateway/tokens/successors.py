"""A second net for rotated pairs: sealed in Redis, by the refresh token that each was given for.

Between Feishu's answer and the commit in Postgres a pair exists in one process only, and a pair
that is lost throws its user out. A Redis write takes a fraction of that time, so a process that is
killed there, or a standby that took over without the last commits, mostly finds the pair here.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

import orjson
import structlog
from redis.asyncio import Redis

from gateway.crypto import KeyRing, Undecryptable, context
from gateway.redis_client import AWAY

from .oauth import Pair
from .token import Credential

REDIS_SECONDS = 0.25
LONGEST_SECONDS = 86_400.0
"""A day: longer than any outage of Postgres that this is to bridge, much shorter than a grant."""

log = structlog.get_logger(__name__)


class Successors:
    """Never raises; what a refresh needs takes 250 ms at most. Without Redis the net is missing."""

    def __init__(self, redis: Redis, keys: KeyRing) -> None:
        self._redis = redis
        self._keys = keys

    async def keep(self, credential: Credential, spent: bytes, pair: Pair) -> None:
        """Keep the pair that the refresh token of this print was spent for."""
        seconds = min(float(pair.refresh_seconds), LONGEST_SECONDS)
        content = orjson.dumps({"seconds": seconds, "pair": asdict(pair)})
        place = _place(credential, spent)
        sealed = self._keys.seal(content, context("redis", "successors", credential.key, "pair"))
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._redis.set(place, sealed, px=max(1, int(seconds * 1000)))
        except AWAY as error:
            log.info("no second copy of a refreshed grant", reason=type(error).__name__)

    async def find(self, credential: Credential, spent: bytes) -> Pair | None:
        """The pair that followed the refresh token of this print, with the lives it has left."""
        place = _place(credential, spent)
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                sealed, left = await self._redis.get(place), await self._redis.pttl(place)
            if not isinstance(sealed, bytes) or left <= 0:
                return None
            opened = self._keys.open(sealed, context("redis", "successors", credential.key, "pair"))
            entry = orjson.loads(opened)
            pair = Pair(**entry["pair"])
            age = max(0, round(entry["seconds"] - left / 1000))
        except (*AWAY, Undecryptable, ValueError, KeyError, TypeError):
            return None
        # Of an access token at its end nothing is wanted but the refresh token beside it.
        return replace(
            pair,
            access_seconds=max(0, pair.access_seconds - age),
            refresh_seconds=max(1, pair.refresh_seconds - age),
        )

    async def forget(self, credential: Credential) -> None:
        """Delete all pairs of the credential; looks through all keys, so it may take a while."""
        try:
            async for place in self._redis.scan_iter(
                match=_place(credential, b"") + "*", count=1000
            ):
                await self._redis.delete(place)
        except AWAY as error:
            log.info("pairs stay in Redis until they end", reason=type(error).__name__)


def _place(credential: Credential, spent: bytes) -> str:
    # In braces as the credential's other keys, so that a Redis cluster keeps them together.
    return f"lark:token:{{{credential.key.hex()}}}:after:{spent.hex()}"
