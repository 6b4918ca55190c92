"""The client: calls that wait for their reply, and calls that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar, Unpack
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from .errors import ConnectionLost, NotConnected, UnreadableReply
from .failures import failure_of
from .link import Link
from .reply import Reply
from .request import CallOptions, Request, Resend, request_of
from .schemas.call import Method
from .session import Session

Sent = TypeVar("Sent")

GRACE_SECONDS = 3.0
"""How long after its timeout a reply may come: 1 s of the contract and 2 s between two clocks."""


class LarkClient:
    """One connection to the broker, for any number of concurrent calls of one event loop.

    `resend` says which calls are published once more, under the same call id, when the connection
    dies while they wait: `"safe"` those that do no harm when executed twice (GET, PUT, PATCH,
    DELETE, or `retry="always"`), `"always"` all but `retry="never"` (right when the gateway keeps
    outcome records), `"never"` none. `trust_clock=False` leaves the deadline out of the message,
    for machines whose clock may be wrong by more than 2 s. `user` is only needed where the login
    is not part of the address.
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        app: str = "default",
        resend: Resend = "safe",
        connect_timeout: float = 10,
        name: str = "lark-service-client",
        user: str | None = None,
        trust_clock: bool = True,
    ) -> None:
        address = urlsplit(amqp_url)
        if address.scheme not in ("amqp", "amqps") or not address.hostname:
            raise ValueError("the broker's address must begin with amqp:// or amqps:// and a host")
        self._app = app
        self._resend: Resend = resend
        self.connect_timeout = connect_timeout
        self._trust_clock = trust_clock
        self._link = Link(amqp_url, name=name, user=user or unquote(address.username or "guest"))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether the client has a connection; without one, calls wait for the next."""
        return self._link.connected

    @property
    def waiting(self) -> int:
        """Calls sent whose reply has not come yet."""
        return self._link.waiting

    async def open(self) -> None:
        """Connect. Raises NotConnected after `connect_timeout`, or at once for a refused login."""
        await self._link.open(self.connect_timeout)

    async def close(self) -> None:
        """Disconnect; calls that still wait fail with ConnectionLost."""
        await self._link.close()

    async def call(
        self,
        method: Method,
        path: str,
        *,
        timeout: float = 10,
        raise_on_error: bool = True,
        **options: Unpack[CallOptions],
    ) -> Reply:
        """Make one call and return its reply, at the latest 3 s after `timeout`.

        Raises the LarkError that fits the reply, unless `raise_on_error` is false, and a
        TransportError where no reply came.
        """
        request = request_of(
            method,
            path,
            options,
            app=self._app,
            lane="interactive",
            deadline=time.time() + timeout,
            tell_deadline=self._trust_clock,
        )
        body = await self._send(
            request,
            timeout,
            lambda session, left: session.call(request, timeout=left, grace=GRACE_SECONDS),
        )
        reply = _read(body, request)
        if raise_on_error and not reply.ok:
            raise failure_of(reply, request.call_id)
        return reply

    async def publish(
        self,
        method: Method,
        path: str,
        *,
        timeout: float = 10,
        deadline: datetime | timedelta | None = None,
        **options: Unpack[CallOptions],
    ) -> str:
        """Hand one call over and return its call id once the broker has it safely.

        What becomes of it is not told: a failure is a dead letter. `deadline` is when it loses its
        sense, 24 h from now if not given; `timeout` is for the confirm. Raises InvalidCall,
        Unroutable or a TransportError.
        """
        request = request_of(
            method,
            path,
            options,
            app=self._app,
            lane="bulk",
            deadline=_unix(deadline),
            tell_deadline=self._trust_clock,
        )
        await self._send(
            request, timeout, lambda session, left: session.publish(request, timeout=left)
        )
        return request.call_id

    async def _send(
        self, request: Request, timeout: float, act: Callable[[Session, float], Awaitable[Sent]]
    ) -> Sent:
        """Act on the live session, and on the next one if that may be after a lost connection."""
        give_up = time.monotonic() + timeout
        lost: ConnectionLost | None = None
        while True:
            try:
                session = await self._link.session(give_up - time.monotonic())
            except NotConnected as error:
                if lost is not None:
                    raise lost from error
                error.call_id = request.call_id
                raise
            try:
                return await act(session, give_up - time.monotonic())
            except NotConnected:
                continue
            except ConnectionLost as error:
                if not request.may_be_resent(self._resend):
                    raise
                lost = error


def _read(body: bytes, request: Request) -> Reply:
    try:
        return Reply.model_validate_json(body)
    except ValidationError as error:
        raise UnreadableReply(
            f"the reply breaks the contract: {error.errors(include_input=False)[0]['msg']}",
            call_id=request.call_id,
        ) from error


def _unix(deadline: datetime | timedelta | None) -> float | None:
    if isinstance(deadline, timedelta):
        return time.time() + deadline.total_seconds()
    if deadline is not None and deadline.tzinfo is None:
        raise ValueError("deadline: a datetime must have its time zone")
    return deadline.timestamp() if deadline else None
