"""One refresh of one grant: the lease, the request, the pair on disk, or what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from gateway.database import DatabaseUnavailable
from gateway.errors import GatewayError
from gateway.metrics import Metrics

from .grant_rows import Grant
from .grant_store import GrantStore
from .grant_verdict import verdict_of
from .oauth import OAuth, Pair
from .sources import Issued
from .successors import Successors
from .token import Credential

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0

Result = Issued | GatewayError | None
"""How a refresh ended; None where the row is to be read again."""

log = structlog.get_logger(__name__)


class GrantRefresh:
    """Spends refresh tokens: the right to is on disk before, and the pair before it is used."""

    def __init__(
        self,
        store: GrantStore,
        oauth: OAuth,
        successors: Successors,
        metrics: Metrics,
        *,
        lease_seconds: float,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._store = store
        self._oauth = oauth
        self._successors = successors
        self._metrics = metrics
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._draw = draw

    async def refresh(self, credential: Credential, grant: Grant) -> Result:
        """Refresh once; None where another process has changed the grant meanwhile.

        A failure is returned, not raised: nobody may be left to take an exception.
        """
        try:
            began = self._clock()
            fence = await self._store.lease(credential, grant)
            if fence is None:
                return None
            pair = await self._successors.find(credential, grant.refresh_print)
            if pair is not None:
                log.warning("refreshed grant found in Redis", **_named(credential))
                return await self._write(credential, grant, pair, self._clock())
            if self._clock() - began > self._lease_seconds / 2:
                # This process stood still: before the answer came, another might have the lease.
                return None
            return await self._spend(credential, grant, fence)
        except GatewayError as error:
            return error

    async def _spend(self, credential: Credential, grant: Grant, fence: int) -> Result:
        asked_at = self._clock()
        try:
            pair = await self._oauth.refresh(credential.app, grant.refresh_token)
        except GatewayError as error:
            return await self._failed(credential, grant, fence, error)
        self._metrics.token_refreshes.labels(credential.app.alias, "ok").inc()
        log.info("user token refreshed", seconds=pair.access_seconds, **_named(credential))
        kept = asyncio.ensure_future(self._successors.keep(credential, grant.refresh_print, pair))
        try:
            return await self._write(credential, grant, pair, asked_at)
        finally:
            await kept

    async def _write(
        self, credential: Credential, grant: Grant, pair: Pair, asked_at: float
    ) -> Issued | None:
        """Write the pair, for as long as it takes; None where another grant is there by now."""
        pause = _FIRST_PAUSE
        while True:
            try:
                waited = self._clock() - asked_at
                saved = await self._store.save(credential, grant.refresh_print, pair, waited)
            except GatewayError as error:
                if pause == _FIRST_PAUSE:
                    log.critical(
                        "refreshed grant waits for Postgres, do not kill this process",
                        reason=error.message,
                        **_named(credential),
                    )
                await asyncio.sleep(pause * (0.5 + self._draw()))
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            left = pair.access_seconds - (self._clock() - asked_at)
            # One at its end is no use: the next turn refreshes again.
            return Issued(pair.access_token, left) if saved and left > 1 else None

    async def _failed(
        self, credential: Credential, grant: Grant, fence: int, error: GatewayError
    ) -> Result:
        """Keep what went wrong, unless another process has rotated the grant meanwhile."""
        self._metrics.token_refreshes.labels(credential.app.alias, error.type).inc()
        verdict = verdict_of(grant, error, self._draw())
        if verdict.gone:
            found = await self._store.look(credential)
            if found is None or found.refresh_print != grant.refresh_print:
                return None
            pair = await self._successors.find(credential, grant.refresh_print)
            if pair is not None:
                return await self._write(credential, grant, pair, self._clock())
        said = "user must authorize again" if verdict.gone else "user token not refreshed"
        log.warning(said, type=error.type, code=error.code, **_named(credential))
        with suppress(DatabaseUnavailable):
            # Not written, it costs no more than a wait for the end of the lease.
            await self._store.fail(credential, grant, fence, verdict)
        return verdict.error


def _named(credential: Credential) -> dict[str, str]:
    return {"app": credential.app.alias, "user": credential.holder.name}
