"""Grants of users: codes, rotating refresh tokens, and who uses one that is spent."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from .answers import Answer
from .request import ApiRequest
from .tokens import Tokens

OAUTH_V2: Final = "POST /open-apis/authen/v2/oauth/token"
OAUTH_V3: Final = "POST /oauth/v3/token"
_VERSIONS: Final = {OAUTH_V2: 2, OAUTH_V3: 3}
_SPENT, _REVOKED, _INVALID, _EXPIRED = 20073, 20064, 20026, 20037

Fields = Mapping[str, Any]


@dataclass(slots=True)
class _Grant:
    app_id: str
    user: str
    scope: str
    revoked: bool = False


@dataclass(slots=True)
class _Code:
    grant: _Grant
    expires_at: float
    redirect_uri: str
    challenge: str
    used: bool = False


@dataclass(slots=True)
class _RefreshToken:
    grant: _Grant
    expires_at: float
    version: int
    spent: bool = False


@dataclass(slots=True)
class Statistics:
    """What happened: `spent_used` and `concurrent` are what a careful client never does."""

    exchanged: int = 0
    refreshed: int = 0
    spent_used: int = 0
    """Refreshes with a refresh token that was used before."""
    concurrent: int = 0
    """Refreshes that arrived while another of the same user was not answered yet."""
    refused: Counter[int] = field(default_factory=Counter)


class OAuth:
    """Both token endpoints. `life`, `refresh_life` and `code_life` are seconds."""

    def __init__(self, tokens: Tokens, *, clock: Callable[[], float]) -> None:
        self.life = 7200.0
        self.refresh_life = 604_800.0
        self.code_life = 300.0
        self.statistics = Statistics()
        self._tokens = tokens
        self._clock = clock
        self._codes: dict[str, _Code] = {}
        self._refresh_tokens: dict[str, _RefreshToken] = {}
        self._under_way: dict[int, tuple[str, str]] = {}

    def knows(self, name: str) -> bool:
        """Whether the API of that name is one of the two."""
        return name in _VERSIONS

    def code(
        self, app_id: str, user: str, scope: str, *, redirect_uri: str = "", challenge: str = ""
    ) -> str:
        """The code that a browser brings back once the user has agreed."""
        code = secrets.token_urlsafe(24)
        expires_at = self._clock() + self.code_life
        grant = _Grant(app_id, user, scope)
        self._codes[code] = _Code(grant, expires_at, redirect_uri, challenge)
        return code

    def grant(self, app_id: str, user: str, scope: str, version: int = 3) -> dict[str, Any]:
        """A pair of tokens at once, without a code."""
        return self._pair(_Grant(app_id, user, scope), version)

    def revoke(self, app_id: str, user: str) -> None:
        """Take back what the user granted: tokens of both kinds are invalid at once."""
        for token in self._refresh_tokens.values():
            if (token.grant.app_id, token.grant.user) == (app_id, user):
                token.grant.revoked = True
        self._tokens.revoke(app_id, user=user)

    def identify(self, request: ApiRequest) -> None:
        """Say whose request it is, as far as it claims."""
        claimed = _fields(request).get("client_id")
        request.app_id = claimed if isinstance(claimed, str) else ""

    def answer(self, request: ApiRequest) -> Answer:
        """Answer one request."""
        fields, version = _fields(request), _VERSIONS[request.api.name]
        app_id, secret = fields.get("client_id"), fields.get("client_secret")
        known = self._tokens.apps.get(app_id) if isinstance(app_id, str) else None
        if known is None:
            return self._refuse(20048, "the app does not exist")
        if not isinstance(secret, str) or not secrets.compare_digest(
            secret.encode(), known.encode()
        ):
            return self._refuse(20002, "the client secret is invalid")
        match fields.get("grant_type"):
            case "authorization_code":
                return self._exchange(str(app_id), fields, version)
            case "refresh_token":
                return self._refresh(request, str(app_id), fields, version)
        return self._refuse(20036, "the grant_type is not supported")

    def finish(self, request: ApiRequest) -> None:
        """Say that a request is over, answered or not."""
        self._under_way.pop(request.number, None)

    def clear(self) -> None:
        """Count anew; grants stay."""
        self.statistics = Statistics()

    def _exchange(self, app_id: str, fields: Fields, version: int) -> Answer:
        code = self._codes.get(str(fields.get("code", "")))
        if code is None:
            return self._refuse(20003, "the code is unknown")
        if code.grant.app_id != app_id:
            return self._refuse(20024, "the code belongs to another client_id")
        if code.used:
            return self._refuse(20065, "the code was used before")
        if code.expires_at <= self._clock():
            return self._refuse(20004, "the code has expired")
        if code.redirect_uri and fields.get("redirect_uri") != code.redirect_uri:
            return self._refuse(20001, "the redirect_uri is another one")
        if code.challenge and _challenge(fields.get("code_verifier")) != code.challenge:
            return self._refuse(20001, "the code_verifier does not fit")
        code.used = True
        self.statistics.exchanged += 1
        return Answer({"code": 0, **self._pair(code.grant, version)})

    def _refresh(self, request: ApiRequest, app_id: str, fields: Fields, version: int) -> Answer:
        token = self._refresh_tokens.get(str(fields.get("refresh_token", "")))
        if token is None:
            return self._refuse(_INVALID, "the refresh token is invalid")
        user = (token.grant.app_id, token.grant.user)
        self.statistics.concurrent += user in self._under_way.values()
        self._under_way[request.number] = user
        if token.grant.app_id != app_id:
            return self._refuse(20024, "the refresh token belongs to another client_id")
        if version < token.version:
            return self._refuse(_INVALID, "the refresh token is invalid")
        if token.spent:
            self.statistics.spent_used += 1
            return self._refuse(_SPENT, "the refresh token was used before")
        if token.grant.revoked:
            return self._refuse(_REVOKED, "the refresh token was revoked")
        if token.expires_at <= self._clock():
            return self._refuse(_EXPIRED, "the refresh token has expired")
        token.spent = True
        self.statistics.refreshed += 1
        return Answer({"code": 0, **self._pair(token.grant, version)})

    def _pair(self, grant: _Grant, version: int) -> dict[str, Any]:
        access = self._tokens.user_token(grant.app_id, grant.user, self.life)
        pair = {
            "access_token": access.value,
            "expires_in": int(self.life),
            "scope": grant.scope,
            "token_type": "Bearer",
        }
        if "offline_access" in grant.scope.split():
            refresh = f"eyJ{secrets.token_urlsafe(900)}"
            expires_at = self._clock() + self.refresh_life
            self._refresh_tokens[refresh] = _RefreshToken(grant, expires_at, version)
            pair |= {
                "refresh_token": refresh,
                "refresh_token_expires_in": int(self.refresh_life),
            }
        return pair

    def _refuse(self, code: int, description: str) -> Answer:
        self.statistics.refused[code] += 1
        body = {"code": code, "error": "invalid_grant", "error_description": description}
        return Answer(body, 400)


def _fields(request: ApiRequest) -> Fields:
    if request.content_type.lower().startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(request.body.decode(errors="replace")))
    return request.json or {}


def _challenge(verifier: Any) -> str:
    digest = hashlib.sha256(str(verifier or "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
