"""Feishu's OAuth endpoint: a code or a refresh token goes in, a pair of tokens comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
import orjson

from gateway.apps import App
from gateway.errors import AttemptFailed
from schemas.reply import ErrorType

from .endpoint import Unusable, is_token, judge, read_body

Version = Literal["v2", "v3"]

BUDGET_SECONDS = 10.0
CONNECT_SECONDS = 2.0
V2_PATH: Final = "/open-apis/authen/v2/oauth/token"
V3_PATH: Final = "/oauth/v3/token"
AUTHORIZE_PATH: Final = "/open-apis/authen/v1/authorize"
_LONGEST_LIFE = 86_400
_LONGEST_REFRESH_LIFE = 400 * 86_400


@dataclass(frozen=True, slots=True)
class Pair:
    """What a grant is made of; lives are the seconds left. A code may bring no refresh token."""

    access_token: str = field(repr=False)
    access_seconds: int
    refresh_token: str | None = field(repr=False)
    refresh_seconds: int
    scope: str = ""


class MaybeSpent(AttemptFailed):
    """Feishu may have taken the code or the refresh token, and its answer did not arrive."""


class OAuth:
    """Asks once; whoever asks decides whether to ask again, since each answer may be the only one.

    Every method raises Refused, NotNow or AttemptFailed, the last as MaybeSpent where what was sent
    may be spent. No message holds a secret.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        version: Version = "v3",
        *,
        budget: float = BUDGET_SECONDS,
    ) -> None:
        """*budget* is how many seconds one request may take."""
        self._session = session
        self._version = version
        self._budget = budget

    async def exchange(
        self, app: App, code: str, *, redirect_uri: str | None, code_verifier: str | None
    ) -> Pair:
        """Turn an authorization code into a pair."""
        fields = {"code": code, "redirect_uri": redirect_uri, "code_verifier": code_verifier}
        given = {name: value for name, value in fields.items() if value is not None}
        return await self._ask(app, {"grant_type": "authorization_code", **given})

    async def refresh(self, app: App, refresh_token: str) -> Pair:
        """Turn a refresh token into the next pair; it is spent by that."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        pair = await self._ask(app, fields)
        if pair.refresh_token is None:
            raise MaybeSpent(*_no_token(app, "its answer holds no refresh token"))
        return pair

    async def _ask(self, app: App, fields: Mapping[str, str]) -> Pair:
        secret = app.secret.get_secret_value()
        body = {**fields, "client_id": app.app_id, "client_secret": secret}
        try:
            async with self._session.post(
                token_url(app.domain, self._version),
                data=orjson.dumps(body),
                headers={"Content-Type": "application/json; charset=utf-8"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._budget, sock_connect=CONNECT_SECONDS),
            ) as response:
                content = await read_body(response)
                return judge(app, response.status, response.headers, content, pair_of)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # There was no connection yet, so nothing was sent.
            raise AttemptFailed(*_no_token(app, type(error).__name__)) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # Only the kind of error: its text may quote what was sent.
            raise MaybeSpent(*_no_token(app, type(error).__name__)) from None
        except AttemptFailed as error:
            if error.code is not None:
                raise
            # Without a code it is not Feishu's word, or no answer to rely on.
            raise MaybeSpent(error.type, error.message, log_id=error.log_id) from None


def token_url(domain: str, version: Version) -> str:
    """Where tokens are asked for: v3 has a host of its own, `accounts.` in the place of `open.`."""
    return domain + V2_PATH if version == "v2" else _accounts(domain) + V3_PATH


def authorize_url(app: App, *, redirect_uri: str, scope: str, state: str) -> str:
    """The page on which the user grants the app its scopes."""
    query = {
        "client_id": app.app_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
    }
    return f"{_accounts(app.domain)}{AUTHORIZE_PATH}?{urlencode(query)}"


def _accounts(domain: str) -> str:
    parts = urlsplit(domain)
    host = parts.netloc
    if host.startswith("open."):
        host = "accounts." + host.removeprefix("open.")
    return urlunsplit((parts.scheme, host, "", "", ""))


def pair_of(document: Mapping[str, Any]) -> Pair:
    """Read a pair from the fields of Feishu's answer; raises Unusable without an access token."""
    access, refresh = document.get("access_token"), document.get("refresh_token")
    seconds = _seconds(document.get("expires_in"), _LONGEST_LIFE)
    refresh_seconds = _seconds(document.get("refresh_token_expires_in"), _LONGEST_REFRESH_LIFE)
    if not is_token(access) or not seconds:
        raise Unusable("its answer holds no token or no life of it")
    if not is_token(refresh) or not refresh_seconds:
        refresh, refresh_seconds = None, 0
    scope = document.get("scope")
    return Pair(access, seconds, refresh, refresh_seconds, scope if isinstance(scope, str) else "")


def _seconds(value: Any, most: int) -> int:
    return min(value, most) if type(value) is int and value > 0 else 0


def _no_token(app: App, reason: str) -> tuple[ErrorType, str]:
    return ErrorType.FEISHU_UNAVAILABLE, f"no token from {app.domain}: {reason}"
