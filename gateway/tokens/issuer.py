"""Gives out the tokens of self-built apps."""

from __future__ import annotations

import aiohttp

from .endpoint import BUDGET_SECONDS, TokenEndpoint, token_of
from .sources import Issued
from .token import Credential, Token

TENANT_TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"  # noqa: S105 (a path)
_TENANT_TOKEN = token_of("tenant_access_token")


class Issuer:
    """The source of self-built apps, whose id and secret are enough."""

    def __init__(self, session: aiohttp.ClientSession, *, budget: float = BUDGET_SECONDS) -> None:
        """*budget* is how many seconds all tries of one request may take together."""
        self._endpoint = TokenEndpoint(session, budget=budget)

    async def issue(self, credential: Credential, than: Token | None) -> Issued:
        """Ask for the app's tenant token, at most three times within the budget.

        Feishu gives a self-built app the same string as app and as tenant token. Raises what
        `TokenEndpoint.ask` does.
        """
        app = credential.app
        body = {"app_id": app.app_id, "app_secret": app.secret.get_secret_value()}
        return await self._endpoint.ask(app, TENANT_TOKEN_PATH, body, _TENANT_TOKEN)
