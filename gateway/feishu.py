"""One HTTP request to Feishu, one answer. Knows nothing of retries, limits or tokens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import ClientTimeout, http_exceptions

from schemas.names import MAX_RESPONSE_BYTES
from schemas.reply import ErrorType, Outcome

from .errors import PROVEN_UNSENT, AttemptFailed, Cause, GatewayError, Refused
from .peers import certificate_flaw, trusting
from .request import Request

SOCKET_SECONDS = 3.0
"""For a TCP connection and its TLS, of each address of the host."""
CONNECT_SECONDS = 5.0
"""For a connection in all: its address, and all that is tried. Less than the whole attempt, so that
what did not even connect is told from what was not answered."""
KEEP_ALIVE_SECONDS = 5.0
"""Short, since what is written onto a connection that Feishu just closed has an unknown outcome."""
PASSED_ON = (
    "x-tt-logid",
    "x-request-id",
    "x-ogw-ratelimit-limit",
    "x-ogw-ratelimit-reset",
    "retry-after",
    "content-disposition",
    "content-range",
)
"""Headers of the answer that the producer gets to see."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Feishu said. `document` is the parsed body where it is JSON; `seconds` is how long.

    `flaw` says why the answer cannot be used, where it cannot; `body` is None where it was too
    large to be read.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    content_type: str
    is_json: bool
    document: Any
    seconds: float
    flaw: str | None = None

    @property
    def code(self) -> int | None:
        """Feishu's code, or None where the body is no Feishu envelope."""
        code = self.document.get("code") if isinstance(self.document, dict) else None
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    @property
    def message(self) -> str:
        """Feishu's own words, for people only."""
        text = self.document.get("msg") if isinstance(self.document, dict) else None
        return text[:512] if isinstance(text, str) else ""

    @property
    def log_id(self) -> str | None:
        """Feishu's id of this request; support asks for it."""
        return self.headers.get("x-tt-logid") or self.headers.get("x-request-id")

    @property
    def ok(self) -> bool:
        """Whether this is a success: code 0, or a 2xx that is no envelope."""
        if self.flaw is not None:
            return False
        if self.code is not None:
            return self.code == 0
        return 200 <= self.status < 300


class Feishu:
    """Feishu's HTTP interface: pinned host, no redirects, no proxy, no cookies, bounded answers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, request: Request, token: str | None, timeout: float) -> Answer:
        """Send once, within *timeout* seconds; raise AttemptFailed or Refused (bad_response)."""
        payload = request.payload()
        headers = dict(request.headers)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        started = time.monotonic()
        with _translated():
            async with self._session.request(
                request.method,
                request.url,
                data=payload,
                headers=headers,
                # A request without a body has no type; aiohttp would make one up.
                skip_auto_headers=("Content-Type",) if payload is None else (),
                allow_redirects=False,
                timeout=_timeout(timeout),
            ) as response:
                body = await _read(response)
                return _answer(response, body, time.monotonic() - started)


@asynccontextmanager
async def open_session(ca_file: Path | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the one HTTP session of the process; *ca_file* is trusted besides the system's."""
    # No limit: a connector that is smaller than the concurrency starves its waiters.
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=trusting(ca_file)
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        headers={"User-Agent": "lark-service"},
    ) as session:
        # aiohttp silently repeats GET, PUT and DELETE on a dropped connection: an attempt that
        # takes no permit and that nobody counts. There is no public switch (3.14).
        session._retry_connection = False
        yield session


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    content = response.content
    body = await content.readany()
    if not content.at_eof():
        # Few answers come in more than one piece.
        whole = bytearray(body)
        async for chunk in content.iter_any():
            whole += chunk
            if len(whole) > MAX_RESPONSE_BYTES:
                break
        body = bytes(whole)
    if len(body) > MAX_RESPONSE_BYTES:
        response.close()
        return None
    return body


def _answer(response: aiohttp.ClientResponse, body: bytes | None, seconds: float) -> Answer:
    content_type = _printable(response.headers.get("Content-Type", ""))
    headers = {
        name: _printable(value)
        for name in PASSED_ON
        if (value := response.headers.get(name)) is not None
    }
    is_json, document = False, None
    if body is not None and "json" in content_type.lower():
        with suppress(orjson.JSONDecodeError):
            document = orjson.loads(body)
            is_json = True
    flaw = _flaw(response.status, body, content_type, is_json, document)
    return Answer(response.status, headers, body, content_type, is_json, document, seconds, flaw)


def _printable(value: str) -> str:
    # aiohttp smuggles bytes that are no UTF-8 through as lone surrogates, which no JSON can hold.
    if value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _flaw(
    status: int, body: bytes | None, content_type: str, is_json: bool, document: Any
) -> str | None:
    if 300 <= status < 400:
        return f"Feishu answered with a redirect ({status})"
    if body is None:
        return f"Feishu's answer is larger than {MAX_RESPONSE_BYTES} bytes"
    if "json" in content_type.lower() and not is_json and status < 400:
        return "Feishu's answer is announced as JSON and is none"
    # A bool is an int to Python alone.
    if isinstance(document, dict) and type(document.get("code", 0)) is not int:
        return "the code in Feishu's answer is not an integer"
    return None


def _bad(message: str) -> GatewayError:
    return Refused(ErrorType.BAD_RESPONSE, message, outcome=Outcome.UNKNOWN)


class _translated:  # noqa: N801  used as a verb
    """Turn aiohttp's exceptions into what must be done about them."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, GatewayError):
            return
        translated = _failure(error)
        if translated is not None:
            raise translated from error


def _timeout(seconds: float) -> ClientTimeout:
    # All of it ends with the whole attempt, a header or a body that drips in as well.
    connect = min(CONNECT_SECONDS, 0.9 * seconds)
    return ClientTimeout(total=seconds, connect=connect, sock_connect=min(SOCKET_SECONDS, connect))


def _failure(error: BaseException) -> GatewayError | None:
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return _failed(_unreached(error), Cause.UNREACHABLE)
        case aiohttp.ClientConnectionResetError():
            # aiohttp raises it itself, of headers; what fails in a body is another error.
            return _failed("the connection to Feishu was gone", Cause.UNSENT)
        case TimeoutError():
            return _failed("Feishu did not answer in time", Cause.TIMEOUT, ErrorType.TIMEOUT)
        case aiohttp.ClientResponseError() | http_exceptions.HttpProcessingError():
            return _bad("Feishu's answer is not HTTP")
        case aiohttp.ClientPayloadError() if _undecodable(error):
            return _bad("Feishu's answer cannot be decoded as announced")
        case aiohttp.ClientPayloadError():
            return _failed("Feishu's answer broke off", Cause.TRUNCATED)
        case aiohttp.ClientError() | OSError():
            return _failed("the connection to Feishu was cut", Cause.CUT)
    return None


def _failed(
    message: str, cause: Cause, type_: ErrorType = ErrorType.FEISHU_UNAVAILABLE
) -> AttemptFailed:
    outcome = Outcome.NOT_EXECUTED if cause in PROVEN_UNSENT else Outcome.UNKNOWN
    return AttemptFailed(type_, message, outcome=outcome, cause=cause)


def _unreached(error: BaseException) -> str:
    flaw = certificate_flaw(error)
    return "Feishu cannot be reached" if flaw is None else f"Feishu cannot be reached: {flaw}"


def _undecodable(error: BaseException) -> bool:
    return isinstance(error.__cause__, http_exceptions.ContentEncodingError)
