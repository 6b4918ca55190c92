"""Asks Feishu for tokens. Feishu answers failures with HTTP 200, so the body's code decides."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from gateway.apps import App
from gateway.codes import Action, token_meaning_of
from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from schemas.reply import ErrorType

from .sources import Issued
from .token import Credential, Token

TENANT_TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"  # noqa: S105 (a path)
BUDGET_SECONDS = 5.0
CONNECT_SECONDS = 2.0
_TRIES = 3
_MOST_BYTES = 64 * 1024
_LONGEST_LIFE = 86_400
_LONGEST_PAUSE = 60.0
_TOKEN = re.compile(r"[!-~]{1,8192}")
_LIMITED = frozenset({Action.PAUSE, Action.BACK_OFF})
_LOG_ID = re.compile(r"[!-~]{1,128}")


class Issuer:
    """Knows the token endpoint of self-built apps."""

    def __init__(self, session: aiohttp.ClientSession, *, budget: float = BUDGET_SECONDS) -> None:
        """*budget* is how many seconds all tries of one request may take together."""
        self._session = session
        self._budget = budget

    async def issue(self, credential: Credential, than: Token | None) -> Issued:
        """Ask for the app's tenant token, at most three times within the budget.

        Feishu gives a self-built app the same string as app and as tenant token.

        Raises Refused (bad credentials, app or address not allowed), NotNow (rate limit) or
        AttemptFailed (Feishu not reached, or no usable answer). No message holds a secret.
        """
        app = credential.app
        again = AsyncRetrying(
            retry=retry_if_exception_type(AttemptFailed),
            stop=stop_after_attempt(_TRIES) | stop_before_delay(self._budget),
            wait=wait_random_exponential(multiplier=0.2, max=1.0),
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._budget):
                return await again(self._ask, app)
        except TimeoutError:
            raise _unavailable(app, f"it did not answer within {self._budget:g} s") from None

    async def _ask(self, app: App) -> Issued:
        body = {"app_id": app.app_id, "app_secret": app.secret.get_secret_value()}
        try:
            async with self._session.post(
                app.domain + TENANT_TOKEN_PATH,
                data=orjson.dumps(body),
                headers={"Content-Type": "application/json; charset=utf-8"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=self._budget, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS
                ),
            ) as response:
                content = await _read(response)
                return judge(app, response.status, response.headers, content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # Only the kind of error: its text may quote what was sent.
            raise _unavailable(app, type(error).__name__) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > _MOST_BYTES:
            response.close()
            return b""
    return bytes(content)


def judge(app: App, status: int, headers: Mapping[str, str], content: bytes) -> Issued:
    """Say what an answer of the token endpoint means: a token, or the error to raise."""
    try:
        document: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        document = None
    code = document.get("code") if isinstance(document, dict) else None
    if code == 0 and type(code) is int:
        return _issued(app, document)
    raise _failure(app, status, headers, code if type(code) is int else None)


def _issued(app: App, document: dict[str, Any]) -> Issued:
    token, expire = document.get("tenant_access_token"), document.get("expire")
    # Anything but printable ASCII could smuggle a header into the requests that carry it.
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise _unavailable(app, "its answer holds no token")
    if type(expire) is not int or expire <= 0:
        raise _unavailable(app, "its answer does not say how long the token lives")
    return Issued(token, min(expire, _LONGEST_LIFE))


def _failure(app: App, status: int, headers: Mapping[str, str], code: int | None) -> GatewayError:
    row = None if code is None else token_meaning_of(code)
    log_id = headers.get("X-Tt-Logid", "")
    known: dict[str, Any] = {
        "code": code,
        "log_id": log_id if _LOG_ID.fullmatch(log_id) else None,
        "hint": row.hint if row else None,
    }
    if (row is not None and row.action in _LIMITED) or (code is None and status == 429):
        return NotNow(
            ErrorType.RATE_LIMITED,
            "Feishu answers no more token requests for a moment",
            retry_after=_reset(headers.get("x-ogw-ratelimit-reset", "")),
            **known,
        )
    if row is not None and row.action is not Action.RETRY:
        return Refused(row.error, f"Feishu gives {app.app_id} no token: {row.meaning}", **known)
    if code is None or row is not None or status >= 500:
        said = f"HTTP {status}" if code is None else f"HTTP {status} with code {code}"
        return _unavailable(app, f"it answered {said}", **known)
    return Refused(
        ErrorType.FEISHU_ERROR, f"Feishu gives {app.app_id} no token: code {code}", **known
    )


def _unavailable(app: App, reason: str, **known: Any) -> AttemptFailed:
    return AttemptFailed(
        ErrorType.FEISHU_UNAVAILABLE,
        f"no token from {app.domain}: {reason}",
        **known,
    )


def _reset(header: str) -> float:
    try:
        seconds = float(header)
    except ValueError:
        return 1.0
    # Written so that a NaN counts as nothing said.
    return min(seconds, _LONGEST_PAUSE) if seconds > 1.0 else 1.0
