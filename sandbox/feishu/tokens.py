"""Apps and access tokens: issued by Feishu's rule, checked on every other request."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from schemas.apis import Api

from .answers import Answer, failure, token_rejected

TENANT_TOKEN = "POST /open-apis/auth/v3/tenant_access_token/internal"
APP_TOKEN = "POST /open-apis/auth/v3/app_access_token/internal"
STORE_TENANT_TOKEN = "POST /open-apis/auth/v3/tenant_access_token"
STORE_APP_TOKEN = "POST /open-apis/auth/v3/app_access_token"
RESEND_TICKET = "POST /open-apis/auth/v3/app_ticket/resend"

SELF_BUILT_KINDS = frozenset({"tenant", "app"})
TENANT_KIND = frozenset({"tenant"})
APP_KIND = frozenset({"app"})
USER_KIND = frozenset({"user"})
_WRONG_KIND = {
    SELF_BUILT_KINDS: 99991663,
    TENANT_KIND: 99991663,
    APP_KIND: 99991664,
    USER_KIND: 99991668,
}
"""What an API says that does not take this kind of token: the same as of an invalid one."""


@dataclass(frozen=True, slots=True)
class Token:
    """`kinds` is as what it passes, `tenant` whose it is of a store app's many, `user` an open_id.

    `expires_at` is Unix time.
    """

    value: str
    app_id: str
    kinds: frozenset[str]
    expires_at: float = 0.0
    tenant: str = ""
    user: str = ""

    @property
    def fingerprint(self) -> str:
        """How the ledger names it."""
        return fingerprint(self.value)

    @property
    def whose(self) -> tuple[str, frozenset[str], str]:
        """What Feishu has one current token for."""
        return self.app_id, self.kinds, self.tenant


def fingerprint(token: str) -> str:
    """How the ledger names a token."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


class Tokens:
    """Valid tokens of all apps, whose secrets are in `apps`.

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
        self._latest: dict[tuple[str, frozenset[str], str], Token] = {}

    def tenant_token(self, app_id: str, tenant: str = "") -> Token:
        """The token that the app gets now, a store app for one tenant."""
        # The two tokens of a self-built app are one, so it passes where either is taken.
        kinds = TENANT_KIND if tenant else SELF_BUILT_KINDS
        return self._current(Token(f"t-{secrets.token_hex(20)}", app_id, kinds, tenant=tenant))

    def app_token(self, app_id: str) -> Token:
        """The token that the store app gets for itself."""
        return self._current(Token(f"a-{secrets.token_hex(20)}", app_id, APP_KIND))

    def remaining(self, token: Token) -> int:
        """The seconds that the token still lives, as Feishu tells them."""
        return math.ceil(token.expires_at - self._clock())

    def find(self, value: str) -> Token | None:
        """The valid token of that value."""
        token = self._valid.get(value)
        return None if token is None or token.expires_at <= self._clock() else token

    def user_token(self, app_id: str, user: str, life: float | None = None) -> Token:
        """A token for an app on behalf of a user; there is no browser to authorize in."""
        value = f"eyJ{secrets.token_urlsafe(900)}"
        return self._issue(Token(value, app_id, USER_KIND, user=user), life)

    def identify(self, authorization: str) -> tuple[str, str, str]:
        """App, tenant and fingerprint of a token; an unknown token has neither app nor tenant."""
        value = authorization[7:]
        token = self._valid.get(value)
        if token is not None:
            return token.app_id, token.tenant, token.fingerprint
        return "", "", fingerprint(value) if value else ""

    def check(self, authorization: str, api: Api) -> Token | Answer:
        """The token of a request, or the refusal it earns."""
        if not authorization.startswith("Bearer "):
            return failure(400, 99991661, "Missing access token for authorization.")
        value = authorization[7:]
        token = self.find(value)
        if token is None:
            return token_rejected(self._without(value))
        if self.check_kind and api.tokens and not token.kinds & api.tokens:
            return token_rejected(_WRONG_KIND[token.kinds])
        return token

    def _without(self, value: str) -> int:
        ended = self._valid.get(value)
        if ended is not None and ended.user:
            return 99991677
        return 99991668 if value.startswith(("eyJ", "u-")) else 99991663

    def _current(self, fresh: Token) -> Token:
        """What Feishu gives out now: the latest of its kind, or where that ends soon *fresh*."""
        now = self._clock()
        latest = self._latest.get(fresh.whose)
        if latest is not None and latest.expires_at - now >= self.renew_below:
            return latest
        self._valid = {t.value: t for t in self._valid.values() if t.expires_at > now}
        token = self._latest[fresh.whose] = self._issue(fresh)
        return token

    def _issue(self, fresh: Token, life: float | None = None) -> Token:
        expires_at = self._clock() + (self.life if life is None else life)
        token = self._valid[fresh.value] = replace(fresh, expires_at=expires_at)
        self.issued += 1
        return token

    def revoke(
        self,
        app_id: str | None = None,
        value: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
    ) -> int:
        """Make tokens invalid at once and count them: all, or those of an app, tenant, user, one.

        An app's own token is of the tenant with the empty name.
        """
        dead = [
            token
            for token in self._valid.values()
            if app_id in (None, token.app_id)
            and value in (None, token.value)
            and tenant in (None, token.tenant)
            and user in (None, token.user)
        ]
        for token in dead:
            del self._valid[token.value]
            if self._latest.get(token.whose) is token:
                del self._latest[token.whose]
        return len(dead)
