"""Gives out the tokens of store apps: the app's own for a ticket, and each tenant's for that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from gateway.apps import App
from gateway.codes import Action, token_meaning_of
from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from schemas.reply import ErrorType

from .endpoint import TokenEndpoint, token_of
from .resends import PAUSE_SECONDS, Resends
from .sources import Issued
from .tickets import AppTickets
from .token import APP, Credential, Holder, Token

APP_TOKEN_PATH: Final = "/open-apis/auth/v3/app_access_token"  # noqa: S105 (a path)
TENANT_TOKEN_PATH: Final = "/open-apis/auth/v3/tenant_access_token"  # noqa: S105 (a path)
TICKET_SECONDS: Final = 3.0
"""How long a call waits before it looks for a ticket again."""
_APP_TOKEN = token_of("app_access_token")
_TENANT_TOKEN = token_of("tenant_access_token")


class Tokens(Protocol):
    """Tokens of other credentials, as the pool has them for everyone."""

    async def get(self, app: App, holder: Holder) -> Token:
        """Return a token that lives; raises a GatewayError."""
        ...

    async def rejected(self, token: Token) -> None:
        """Drop exactly this token, because Feishu rejected it."""
        ...


class StoreApps:
    """The source of store apps.

    An app's own token is a credential like any other: tenants' tokens take it from the pool, so
    that the fleet shares it. It is never the other way round, and nobody waits in a circle.
    """

    def __init__(
        self,
        endpoint: TokenEndpoint,
        tickets: AppTickets,
        resends: Resends,
        tokens: Callable[[], Tokens],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*tokens* gives the pool that this is a source of."""
        self._endpoint = endpoint
        self._tickets = tickets
        self._resends = resends
        self._tokens = tokens
        self._clock = clock
        self._refused: dict[bytes, tuple[str, float]] = {}

    async def issue(self, credential: Credential, than: Token | None) -> Issued:
        """Ask for the app's own token, or for that of one tenant.

        Raises Refused, NotNow (also where a ticket is waited for) or AttemptFailed.
        """
        if credential.holder.kind == "app":
            return await self._of_app(credential)
        return await self._of_tenant(credential)

    async def _of_app(self, credential: Credential) -> Issued:
        app = credential.app
        ticket = await self._tickets.get(app)
        known: dict[str, Any] = {}
        if ticket is not None and not self._was_refused(credential, ticket):
            secret = app.secret.get_secret_value()
            body = {"app_id": app.app_id, "app_secret": secret, "app_ticket": ticket}
            try:
                return await self._endpoint.ask(app, APP_TOKEN_PATH, body, _APP_TOKEN)
            except Refused as refusal:
                if not _calls_for(refusal, Action.NEW_APP_TICKET):
                    raise
                self._refused[credential.key] = (ticket, self._clock() + PAUSE_SECONDS)
                known = {"code": refusal.code, "log_id": refusal.log_id}
        await self._resends.ask(app)
        why = "there is none" if ticket is None else "Feishu refuses the one that is stored"
        raise NotNow(
            ErrorType.STORE_UNAVAILABLE,
            f"the app {app.alias!r} waits for an app ticket: {why}; Feishu pushes one when asked",
            retry_after=TICKET_SECONDS,
            hint=f"Store what Feishu pushes: lark-service app set-ticket {app.alias}",
            **known,
        )

    def _was_refused(self, credential: Credential, ticket: str) -> bool:
        """Whether Feishu refused just this ticket, less than a minute ago."""
        refused, until = self._refused.get(credential.key, ("", 0.0))
        return refused == ticket and self._clock() < until

    async def _of_tenant(self, credential: Credential) -> Issued:
        app, tokens = credential.app, self._tokens()
        if not credential.holder.name:
            raise Refused(
                ErrorType.INVALID_CALL, f"the app {app.alias!r} is of the store: name the tenant"
            )
        token = await tokens.get(app, APP)
        asked = await self._ask_for_tenant(credential, token)
        if isinstance(asked, Refused):
            await tokens.rejected(token)
            newer = await tokens.get(app, APP)
            # The same one again is not at fault, and would be answered as before.
            if newer != token:
                asked = await self._ask_for_tenant(credential, newer)
        if isinstance(asked, Issued):
            return asked
        raise AttemptFailed(
            ErrorType.FEISHU_UNAVAILABLE,
            f"Feishu rejects the token that it has just given {app.app_id}",
            code=asked.code,
            log_id=asked.log_id,
        )

    async def _ask_for_tenant(self, credential: Credential, token: Token) -> Issued | Refused:
        """The tenant's token, or how Feishu rejects the app's own; raises any other failure."""
        body = {"app_access_token": token.value, "tenant_key": credential.holder.name}
        app = credential.app
        try:
            return await self._endpoint.ask(app, TENANT_TOKEN_PATH, body, _TENANT_TOKEN)
        except Refused as refusal:
            if not _calls_for(refusal, Action.REFRESH_TOKEN):
                raise
            return refusal


def _calls_for(error: GatewayError, action: Action) -> bool:
    row = None if error.code is None else token_meaning_of(error.code)
    return row is not None and row.action is action
