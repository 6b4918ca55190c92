"""Asks Feishu's token endpoints, which answer failures with HTTP 200: the body's code decides."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar

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

BUDGET_SECONDS = 5.0
CONNECT_SECONDS = 2.0
_TRIES = 3
_MOST_BYTES = 64 * 1024
_LONGEST_LIFE = 86_400
_LONGEST_PAUSE = 60.0
_TOKEN = re.compile(r"[!-~]{1,8192}")
_LIMITED = frozenset({Action.PAUSE, Action.BACK_OFF})
_LOG_ID = re.compile(r"[!-~]{1,128}")

T = TypeVar("T")
Read = Callable[[Mapping[str, Any]], T]
"""Takes what is wanted out of the answer to a success, or raises Unusable."""


class Unusable(Exception):
    """The answer says that it succeeded and does not hold what it must; the message says what."""


class TokenEndpoint:
    """One way to ask for any kind of token; each try and all of them together are bounded."""

    def __init__(self, session: aiohttp.ClientSession, *, budget: float = BUDGET_SECONDS) -> None:
        """*budget* is how many seconds all tries of one request may take together."""
        self._session = session
        self._budget = budget

    async def ask(
        self, app: App, path: str, body: Mapping[str, str], read: Read[T], *, tries: int = _TRIES
    ) -> T:
        """Post *body* to *path* in the app's cloud and read the answer.

        Raises Refused (bad credentials, app or address not allowed), NotNow (rate limit) or
        AttemptFailed (Feishu not reached, or no usable answer). No message holds what was sent.
        """
        again = AsyncRetrying(
            retry=retry_if_exception_type(AttemptFailed),
            stop=stop_after_attempt(tries) | stop_before_delay(self._budget),
            wait=wait_random_exponential(multiplier=0.2, max=1.0),
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._budget):
                return await again(self._once, app, path, body, read)
        except TimeoutError:
            raise _unavailable(app, f"it did not answer within {self._budget:g} s") from None

    async def _once(self, app: App, path: str, body: Mapping[str, str], read: Read[T]) -> T:
        try:
            async with self._session.post(
                app.domain + path,
                data=orjson.dumps(body),
                headers={"Content-Type": "application/json; charset=utf-8"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=self._budget, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS
                ),
            ) as response:
                content = await read_body(response)
                return judge(app, response.status, response.headers, content, read)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # Only the kind of error: its text may quote what was sent.
            raise _unavailable(app, type(error).__name__) from None


def token_of(field: str) -> Read[Issued]:
    """Read the token from the field of that name, and from `expire` the seconds it has left."""

    def read(document: Mapping[str, Any]) -> Issued:
        token, expire = document.get(field), document.get("expire")
        if not is_token(token):
            raise Unusable("its answer holds no token")
        if type(expire) is not int or expire <= 0:
            raise Unusable("its answer does not say how long the token lives")
        return Issued(token, min(expire, _LONGEST_LIFE))

    return read


def is_token(value: Any) -> TypeGuard[str]:
    """Whether a field holds a token: printable ASCII, for the rest could smuggle in a header."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer, or nothing of one that is too large to be one."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > _MOST_BYTES:
            response.close()
            return b""
    return bytes(content)


def judge(app: App, status: int, headers: Mapping[str, str], content: bytes, read: Read[T]) -> T:
    """Say what an answer of a token endpoint means: what *read* takes from it, or the error."""
    try:
        document: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        document = None
    code = document.get("code") if isinstance(document, dict) else None
    if code == 0 and type(code) is int:
        try:
            return read(document)
        except Unusable as error:
            raise _unavailable(app, str(error)) from None
    raise _failure(app, status, headers, code if type(code) is int else None)


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
