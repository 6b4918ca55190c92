"""Keeps the grants of users alive of whom nobody makes a call for days."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import structlog

from gateway.apps import App, Apps, AppStatus
from gateway.errors import GatewayError
from gateway.metrics import Metrics

from .grant_store import GrantStore
from .grants import UserGrants
from .token import Credential, Holder, Token

EVERY_SECONDS: Final = 600.0
MOST_AT_A_LOOK: Final = 200
"""Refreshed one after the other, which leaves most of Feishu's 50 a second to calls."""

log = structlog.get_logger(__name__)


class GrantKeeper:
    """Refreshes a grant in the last two days of its refresh token, in one process of the fleet.

    A refresh token lives a week or so, and each refresh brings one that lives as long again.
    """

    def __init__(
        self,
        store: GrantStore,
        grants: UserGrants,
        apps: Apps,
        metrics: Metrics,
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """*draw* gives numbers in [0, 1), so that the processes of a fleet come at other times."""
        self._store = store
        self._grants = grants
        self._apps = apps
        self._metrics = metrics
        self._draw = draw

    async def run(self) -> None:
        """Look every ten minutes until cancelled, for the first time within one."""
        pause = EVERY_SECONDS / 10
        while True:
            await asyncio.sleep(pause * (0.5 + self._draw() / 2))
            pause = EVERY_SECONDS
            try:
                await self.look()
            except GatewayError as error:
                log.info("grants not looked at", reason=error.message)

    async def look(self) -> int:
        """Refresh what is due and return how many were; raises DatabaseUnavailable."""
        for state, count in (await self._store.counts()).items():
            self._metrics.user_grants.labels(state).set(count)
        apps = {(app.domain, app.app_id): app for app in self._apps if _serves(app)}
        refreshed = 0
        for domain, app_id, user_key in await self._store.due(MOST_AT_A_LOOK):
            app = apps.get((domain, app_id))
            if app is not None:
                refreshed += await self._refresh(Credential.of(app, Holder("user", user_key)))
        if refreshed:
            log.info("idle grants refreshed", count=refreshed)
        return refreshed

    async def _refresh(self, credential: Credential) -> bool:
        try:
            grant = await self._store.look(credential)
            if grant is None:
                return False
            # Named as the one that is not wanted, so that a token which lives is replaced too.
            held = Token(grant.access_token or "", credential, 0.0, 0.0)
            await self._grants.issue(credential, held)
        except GatewayError:
            # Told where it happened; it is due again at the next look, unless the grant is gone.
            return False
        return True


def _serves(app: App) -> bool:
    return app.status is AppStatus.ENABLED and app.unreadable is None
