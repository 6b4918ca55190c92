"""Apps and access tokens: issued by Feishu's rule, checked on every other request."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.apis import Api

from .answers import Answer, bare_failure, failure, success, token_rejected
from .request import ApiRequest

TENANT_TOKEN = "POST /open-apis/auth/v3/tenant_access_token/internal"
APP_TOKEN = "POST /open-apis/auth/v3/app_access_token/internal"

_APP_ID = re.compile(r"cli_[A-Za-z0-9]{8,40}")


@dataclass(frozen=True, slots=True)
class Token:
    """`user` is the open_id behind a user token, empty for a tenant token."""

    value: str
    fingerprint: str
    app_id: str
    expires_at: float
    user: str = ""


def fingerprint(token: str) -> str:
    """How the ledger names a token."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


class Tokens:
    """Valid tokens of all apps.

    `life` and `renew_below` are seconds: a token with at least `renew_below` left is given out
    again, with less a new one is, and the old one stays valid.
    """

    def __init__(
        self,
        apps: Mapping[str, str],
        *,
        life: float = 7200,
        renew_below: float = 1800,
        check_kind: bool = True,
        clock: Callable[[], float],
    ) -> None:
        self.apps = dict(apps)
        self.life = life
        self.renew_below = renew_below
        self.check_kind = check_kind
        self.issued = 0
        self._clock = clock
        self._valid: dict[str, Token] = {}
        self._latest: dict[str, Token] = {}

    def answer(self, request: ApiRequest) -> Answer:
        """Answer one of the two token endpoints."""
        body = request.json or {}
        app_id, secret = body.get("app_id"), body.get("app_secret")
        if not isinstance(app_id, str) or not _APP_ID.fullmatch(app_id):
            return bare_failure(10003, "invalid param")
        request.app_id = app_id
        if app_id not in self.apps:
            return bare_failure(10014, "app id not exists")
        if not isinstance(secret, str) or not secrets.compare_digest(
            secret.encode(), self.apps[app_id].encode()
        ):
            return bare_failure(10014, "app secret invalid")
        token = self.tenant_token(app_id)
        remaining = math.ceil(token.expires_at - self._clock())
        fields: dict[str, Any] = {"tenant_access_token": token.value, "expire": remaining}
        if request.api.name == APP_TOKEN:
            fields = {"app_access_token": token.value, **fields}
        return success(**fields)

    def tenant_token(self, app_id: str) -> Token:
        """The token that the app gets now."""
        now = self._clock()
        latest = self._latest.get(app_id)
        if latest is not None and latest.expires_at - now >= self.renew_below:
            return latest
        self._valid = {t.value: t for t in self._valid.values() if t.expires_at > now}
        token = self._latest[app_id] = self._issue(f"t-{secrets.token_hex(20)}", app_id)
        return token

    def user_token(self, app_id: str, user: str, life: float | None = None) -> Token:
        """A token for an app on behalf of a user; there is no browser to authorize in."""
        return self._issue(f"eyJ{secrets.token_urlsafe(900)}", app_id, user, life)

    def identify(self, authorization: str) -> tuple[str, str]:
        """The app and the fingerprint of a token; an unknown token has no app."""
        value = authorization[7:]
        token = self._valid.get(value)
        if token is not None:
            return token.app_id, token.fingerprint
        return "", fingerprint(value) if value else ""

    def check(self, authorization: str, api: Api) -> Token | Answer:
        """The token of a request, or the refusal it earns."""
        if not authorization.startswith("Bearer "):
            return failure(400, 99991661, "Missing access token for authorization.")
        value = authorization[7:]
        token = self._valid.get(value)
        if token is None or token.expires_at <= self._clock():
            return token_rejected(99991668 if value.startswith(("eyJ", "u-")) else 99991663)
        if self.check_kind and api.tokens:
            # The two tokens of a self-built app are one, so it passes where either is taken.
            kinds = {"user"} if token.user else {"tenant", "app"}
            if not kinds & api.tokens:
                return token_rejected(99991668 if token.user else 99991663)
        return token

    def _issue(self, value: str, app_id: str, user: str = "", life: float | None = None) -> Token:
        expires_at = self._clock() + (self.life if life is None else life)
        token = Token(value, fingerprint(value), app_id, expires_at, user)
        self._valid[value] = token
        self.issued += 1
        return token

    def revoke(self, app_id: str | None = None, value: str | None = None) -> int:
        """Make tokens invalid at once (those of one app, one of them, or all) and count them."""
        dead = [
            token
            for token in self._valid.values()
            if app_id in (None, token.app_id) and value in (None, token.value)
        ]
        for token in dead:
            del self._valid[token.value]
            if self._latest.get(token.app_id) is token:
                del self._latest[token.app_id]
        return len(dead)
