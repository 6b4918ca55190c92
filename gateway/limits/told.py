"""What a process tells the others, and operators, of the calls that wait in its hands."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from gateway.redis_client import AWAY
from schemas.names import LANES, Lane

from .buckets import Bucket

TELL_SECONDS = 2.0
_LIFETIME_MS = 6000
_MOST = 500
_TIMEOUT = 0.5
_MODE = "mode"
_OLDEST = "oldest "

Held = Mapping[tuple[Bucket, Lane], int]
Oldest = Mapping[tuple[str, Lane], float]
"""Unix times by bucket key and lane."""


class Fleet(NamedTuple):
    """What all processes told: how many grant in which mode, calls by bucket key and lane."""

    modes: Counter[str]
    waiting: Counter[tuple[str, Lane]]
    oldest: dict[tuple[str, Lane], float]
    """When the call came to the gateway that was last taken out of an overflow queue."""


class Told:
    """One hash for each process, which is gone six seconds after its process.

    It never raises: nobody but operators misses it.
    """

    def __init__(self, redis: Redis, *, prefix: str = "lark") -> None:
        self._redis = redis
        self._key = f"{waiting_prefix(prefix)}{secrets.token_hex(8)}"

    async def tell(self, held: Held, mode: str, oldest: Oldest | None = None) -> None:
        """Say what waits here now: of many buckets those for which most calls wait."""
        most = Counter({f"{lane} {bucket.key}": n for (bucket, lane), n in held.items()})
        fields: dict[Any, Any] = {_MODE: mode, **dict(most.most_common(_MOST))}
        for (key, lane), came in list((oldest or {}).items())[:_MOST]:
            fields[f"{_OLDEST}{lane} {key}"] = int(came)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(self._key)
        pipeline.hset(self._key, mapping=fields)
        pipeline.pexpire(self._key, _LIFETIME_MS)
        await _send(pipeline)

    async def close(self) -> None:
        """Leave nothing behind."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(self._key)
        await _send(pipeline)


async def _send(pipeline: Pipeline) -> None:
    with contextlib.suppress(*AWAY):
        async with asyncio.timeout(_TIMEOUT):
            await pipeline.execute()


def waiting_prefix(prefix: str) -> str:
    """How the keys of all processes begin; in the limiter's slot of a cluster."""
    return f"{{{prefix}:limits}}:waiting:"


def together(hashes: list[Mapping[bytes, bytes]]) -> Fleet:
    """The sum of what processes told."""
    fleet = Fleet(Counter(), Counter(), {})
    for told in hashes:
        for field, value in told.items():
            name, text = field.decode(), value.decode()
            if name == _MODE:
                fleet.modes[text] += 1
                continue
            word, _, key = name.removeprefix(_OLDEST).partition(" ")
            for lane in LANES:
                if lane != word:
                    continue
                if name.startswith(_OLDEST):
                    # A queue gives its oldest first: what came out last is nearest to its head.
                    fleet.oldest[key, lane] = max(float(text), fleet.oldest.get((key, lane), 0.0))
                else:
                    fleet.waiting[key, lane] += int(text)
    return fleet
