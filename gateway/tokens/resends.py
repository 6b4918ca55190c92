"""Asks Feishu to push a store app's ticket again, not more often than the fleet may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from redis.asyncio import Redis

from gateway.apps import App
from gateway.errors import GatewayError, Refused
from gateway.redis_client import AWAY

from .endpoint import TokenEndpoint
from .sealing import read_failure, write_failure
from .token import APP, Credential

RESEND_PATH: Final = "/open-apis/auth/v3/app_ticket/resend"
PAUSE_SECONDS: Final = 60.0
_REDIS_SECONDS: Final = 0.25
_ASKED: Final = b""
"""Kept for the pause where Feishu did not refuse; else the refusal is."""

log = structlog.get_logger(__name__)


async def ask_for_ticket(endpoint: TokenEndpoint, app: App) -> None:
    """Have Feishu push the app's ticket; raises what `TokenEndpoint.ask` does.

    Of all requests of a store app this one needs no ticket, so it shows too whether Feishu takes
    the app's credentials.
    """
    body = {"app_id": app.app_id, "app_secret": app.secret.get_secret_value()}
    await endpoint.ask(app, RESEND_PATH, body, lambda _: None)


class Resends:
    """Once a minute for an app: in the whole fleet by way of Redis, in each process without it."""

    def __init__(
        self, endpoint: TokenEndpoint, redis: Redis, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._endpoint = endpoint
        self._redis = redis
        self._clock = clock
        self._said: dict[bytes, tuple[float, bytes]] = {}

    async def ask(self, app: App) -> None:
        """Have the ticket pushed, unless that was asked for within the last minute.

        Raises Refused where Feishu refuses it, or refused another process within that minute. What
        else may go wrong is only logged, since it is asked for again.
        """
        key = Credential.of(app, APP).key
        until, said = self._said.get(key, (0.0, _ASKED))
        if until <= self._clock():
            claimed = await self._claim(key)
            seconds, said = claimed or (PAUSE_SECONDS, await self._ask(app))
            self._said[key] = (self._clock() + seconds, said)
            if claimed is None and said != _ASKED:
                await self._share(key, said)
        if refusal := read_failure(said, PAUSE_SECONDS):
            raise refusal

    async def _claim(self, key: bytes) -> tuple[float, bytes] | None:
        """None where this process is to ask; else for how long another's answer stands, and it."""
        place = _place(key)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(place, _ASKED, px=int(PAUSE_SECONDS * 1000), nx=True)
        pipeline.get(place)
        pipeline.pttl(place)
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                taken, said, left = await pipeline.execute()
        except AWAY:
            return None
        return None if taken else (max(0.0, left / 1000), said or _ASKED)

    async def _ask(self, app: App) -> bytes:
        try:
            await ask_for_ticket(self._endpoint, app)
        except Refused as refusal:
            return write_failure(refusal)
        except GatewayError as error:
            log.warning("no ticket asked for", app=app.alias, type=error.type, code=error.code)
        else:
            log.info("ticket asked for", app=app.alias)
        return _ASKED

    async def _share(self, key: bytes, said: bytes) -> None:
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                await self._redis.set(_place(key), said, xx=True, keepttl=True)
        except AWAY:
            return


def _place(key: bytes) -> str:
    # In braces, like all that the fleet keeps of one credential.
    return f"lark:token:{{{key.hex()}}}:resend"
