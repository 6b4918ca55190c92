"""The endpoints that give out the tokens of apps."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from .answers import Answer, bare_failure, success
from .request import ApiRequest
from .tickets import StoreApp, Tickets
from .tokens import (
    APP_TOKEN,
    RESEND_TICKET,
    STORE_APP_TOKEN,
    STORE_TENANT_TOKEN,
    TENANT_TOKEN,
    Token,
    Tokens,
)

TOKEN_REQUESTS: Final = (TENANT_TOKEN, APP_TOKEN, STORE_TENANT_TOKEN, STORE_APP_TOKEN)

_APP_ID = re.compile(r"cli_[A-Za-z0-9]{8,40}")

Fields = Mapping[str, Any]


class TokenEndpoints:
    """Answers those who show an app's secret, or a store app's own token."""

    def __init__(self, tokens: Tokens, tickets: Tickets) -> None:
        self._tokens = tokens
        self._tickets = tickets
        self._by_name: Mapping[str, Callable[[str, Fields], Answer]] = {
            TENANT_TOKEN: self._self_built,
            APP_TOKEN: self._self_built_app,
            STORE_APP_TOKEN: self._store_app,
            RESEND_TICKET: self._resend,
        }

    def knows(self, name: str) -> bool:
        """Whether the API of that name is one of these."""
        return name == STORE_TENANT_TOKEN or name in self._by_name

    def identify(self, request: ApiRequest) -> None:
        """Say whose request it is, as far as it claims."""
        body = request.json or {}
        claimed = body.get("app_id")
        if request.api.name == STORE_TENANT_TOKEN:
            token, claimed = self._app_token_of(body), ""
            if token is not None:
                claimed, tenant = token.app_id, body.get("tenant_key")
                request.tenant = tenant if isinstance(tenant, str) else ""
        request.app_id = claimed if isinstance(claimed, str) else ""

    def answer(self, request: ApiRequest) -> Answer:
        """Answer one request."""
        body = request.json or {}
        if request.api.name == STORE_TENANT_TOKEN:
            return self._store_tenant(body)
        app_id, secret = body.get("app_id"), body.get("app_secret")
        if not isinstance(app_id, str) or not _APP_ID.fullmatch(app_id):
            return bare_failure(10003, "invalid param")
        apps = self._tokens.apps
        if app_id not in apps:
            return bare_failure(10014, "app id not exists")
        if not isinstance(secret, str) or not secrets.compare_digest(
            secret.encode(), apps[app_id].encode()
        ):
            return bare_failure(10014, "app secret invalid")
        return self._by_name[request.api.name](app_id, body)

    def _self_built(self, app_id: str, _: Fields) -> Answer:
        if self._store(app_id):
            return bare_failure(10005, "app id unauthorized")
        token = self._tokens.tenant_token(app_id)
        return success(tenant_access_token=token.value, expire=self._tokens.remaining(token))

    def _self_built_app(self, app_id: str, body: Fields) -> Answer:
        answer = self._self_built(app_id, body)
        if isinstance(answer.body, dict) and answer.succeeded:
            token = answer.body["tenant_access_token"]
            return success(app_access_token=token, **_without_envelope(answer.body))
        return answer

    def _store_app(self, app_id: str, body: Fields) -> Answer:
        store, ticket = self._store(app_id), body.get("app_ticket")
        if store is None:
            return bare_failure(10005, "app id unauthorized")
        if not isinstance(ticket, str) or not ticket:
            return bare_failure(10003, "invalid param")
        if ticket != store.ticket:
            return bare_failure(10012, "app ticket invalid")
        token = self._tokens.app_token(app_id)
        return success(app_access_token=token.value, expire=self._tokens.remaining(token))

    def _store_tenant(self, body: Fields) -> Answer:
        token, tenant = self._app_token_of(body), body.get("tenant_key")
        if token is None:
            return bare_failure(99991664, "invalid app_access_token")
        if not isinstance(tenant, str) or not tenant:
            return bare_failure(10003, "invalid param")
        issued = self._tokens.tenant_token(token.app_id, tenant)
        return success(tenant_access_token=issued.value, expire=self._tokens.remaining(issued))

    def _resend(self, app_id: str, _: Fields) -> Answer:
        if self._store(app_id) is None:
            return bare_failure(10016, "app is not ISV")
        self._tickets.push(app_id)
        return Answer({"code": 0, "msg": "success"})

    def _app_token_of(self, body: Fields) -> Token | None:
        value = body.get("app_access_token")
        token = self._tokens.find(value) if isinstance(value, str) else None
        return token if token is not None and self._store(token.app_id) else None

    def _store(self, app_id: str) -> StoreApp | None:
        return self._tickets.apps.get(app_id)


def _without_envelope(body: Fields) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("code", "msg")}
