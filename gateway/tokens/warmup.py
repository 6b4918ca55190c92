"""Fills Redis ahead of the calls: from Postgres, and from Feishu where a token is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.apps import App, AppKind, AppStatus
from gateway.errors import GatewayError

from .postgres_tokens import PostgresTokens
from .redis_tokens import RedisTokens
from .stores import StoreAway
from .token import APP, TENANT, Credential, Token

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Warmed:
    """What was done for one app, or would be; `reason` says why it failed.

    `ready`: Redis had it; `loaded`: out of Postgres; `refreshed`: from Feishu.
    """

    alias: str
    what: Literal["ready", "loaded", "refreshed", "failed"]
    reason: str | None = None
    seconds_left: float | None = None


class WarmUp:
    """Warms the tokens that are known by their app alone: of self-built apps, and of store apps the
    app's own. Those of tenants and users come with their first call."""

    def __init__(
        self,
        redis: RedisTokens,
        postgres: PostgresTokens,
        renew: Callable[[Credential], Awaitable[Token]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*renew* asks Feishu, and shares what it gives; *clock* must be the one of the stores."""
        self._redis = redis
        self._postgres = postgres
        self._renew = renew
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, apps: Iterable[App], *, dry_run: bool = False) -> list[Warmed]:
        """Warm the apps that are enabled, some at a time, and say of each what was done.

        With *dry_run* nothing is written and Feishu is not asked. A second run finds all ready.
        """
        enabled = [app for app in apps if app.status is AppStatus.ENABLED]
        return list(await asyncio.gather(*(self._one(app, dry_run) for app in enabled)))

    async def _one(self, app: App, dry_run: bool) -> Warmed:
        if app.unreadable is not None:
            return Warmed(app.alias, "failed", f"its secret cannot be read: {app.unreadable}")
        credential = Credential.of(app, APP if app.kind is AppKind.STORE else TENANT)
        async with self._places:
            try:
                return await self._warm(credential, dry_run)
            except StoreAway as error:
                return Warmed(app.alias, "failed", f"a store is away: {error}")
            except GatewayError as error:
                return Warmed(app.alias, "failed", error.message)

    async def _warm(self, credential: Credential, dry_run: bool) -> Warmed:
        alias = credential.app.alias
        there = (await self._redis.look(credential)).token
        if there is not None and not self._due(there):
            return Warmed(alias, "ready", seconds_left=self._left(there))
        kept = (await self._postgres.look(credential)).token
        if kept is not None and not self._due(kept):
            if not dry_run:
                await self._redis.put(kept)
            return Warmed(alias, "loaded", seconds_left=self._left(kept))
        if dry_run:
            return Warmed(alias, "refreshed")
        token = await self._renew(credential)
        return Warmed(alias, "refreshed", seconds_left=self._left(token))

    def _due(self, token: Token) -> bool:
        """Whether a process might renew it from now on: then Feishu has a new one."""
        return self._clock() >= token.renew_at(1.0)

    def _left(self, token: Token) -> float:
        return token.expires_at - self._clock()
