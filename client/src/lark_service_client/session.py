"""One connection with one channel: it publishes calls and takes the replies to them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import Any, Self, cast
from urllib.parse import parse_qs, urlsplit

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq import exceptions as broker
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel as UnderlayChannel

from .broker_errors import lost, translated
from .errors import ConnectionLost, NotConfirmed, NotConnected, ReplyTimeout
from .request import Request
from .schemas import names

HEARTBEAT_SECONDS = 10
_CLOSE_SECONDS = 3
_REFUSALS = (
    broker.AuthenticationError,
    broker.ProbableAuthenticationError,
    broker.ConnectionNotAllowed,
)
_log = logging.getLogger(__name__)


def with_heartbeat(url: str) -> str:
    """The broker's address with our heartbeat, unless it names its own."""
    address = urlsplit(url)
    if "heartbeat" in parse_qs(address.query):
        return url
    query = "&".join(part for part in (address.query, f"heartbeat={HEARTBEAT_SECONDS}") if part)
    return address._replace(query=query).geturl()


class LoginRefused(NotConnected):
    """The broker refuses the user, the password or the virtual host."""


class Session:
    """A live channel; once it is not `alive` it stays so, and its reply address is gone.

    Replies come to the direct reply-to consumer of the same channel, which is why the calls that
    wait for one belong to the session and fail with it.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        channel: AbstractChannel,
        underlay: UnderlayChannel,
        user: str | None,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._underlay = underlay
        self._user = user
        self._numbers = itertools.count(1)
        self._replies: dict[str, asyncio.Future[bytes | None]] = {}
        self._ended = asyncio.Event()
        self.proven = False
        """Whether the broker confirmed a call."""
        underlay.closing.add_done_callback(self._on_closed)

    @classmethod
    async def open(cls, url: str, *, name: str, user: str | None, timeout: float) -> Self:
        """Connect and consume replies. Raises NotConnected, or LoginRefused of that kind."""
        try:
            async with asyncio.timeout(timeout):
                connection = await aio_pika.connect(
                    with_heartbeat(url), client_properties={"connection_name": name}
                )
                try:
                    channel = await connection.channel(on_return_raises=True)
                    # Only the channel below aio-pika's publishes without waiting for the socket.
                    underlay = cast(UnderlayChannel, await channel.get_underlay_channel())
                    session = cls(connection, channel, underlay, user)
                    await session._consume_replies()
                except BaseException:
                    await _close(connection)
                    raise
        except _REFUSALS as error:
            raise LoginRefused(f"the broker refuses the login: {error}") from error
        except broker.InvalidFrameError as error:
            # The library drops the reason; the broker closes here for a virtual host.
            message = "the broker closed the connection: may the user enter the virtual host?"
            raise NotConnected(message) from error
        except Exception as error:
            told = str(error) or "it was not ready in time or ended at once"
            raise NotConnected(f"no connection to the broker: {told}") from error
        return session

    @property
    def alive(self) -> bool:
        """Whether a publish may still be tried."""
        return not (self._ended.is_set() or self._underlay.is_closed)

    @property
    def waiting(self) -> int:
        """Calls whose reply has not come yet."""
        return len(self._replies)

    async def ended(self) -> None:
        """Wait until the session is of no more use."""
        await self._ended.wait()

    async def close(self) -> None:
        """Close the connection within a few seconds; calls that wait for a reply fail."""
        self._end()
        await _close(self._connection)

    async def publish(self, request: Request, *, timeout: float) -> None:
        """Publish without a reply address and wait until the broker accepted the call.

        Raises NotConnected where nothing was sent, ConnectionLost, NotConfirmed or Unroutable.
        """
        await self._publish(request, None, timeout)

    async def call(self, request: Request, *, timeout: float, grace: float) -> bytes:
        """Publish and return the reply's body, which may come up to `grace` seconds late.

        Raises what `publish` raises, and ReplyTimeout.
        """
        loop = asyncio.get_running_loop()
        reply_by = loop.time() + timeout + grace
        # Unique where it must be: a reply reaches only the channel that asked for it.
        correlation_id = str(next(self._numbers))
        reply: asyncio.Future[bytes | None] = loop.create_future()
        self._replies[correlation_id] = reply
        try:
            try:
                await self._publish(request, correlation_id, timeout)
            except (NotConfirmed, ConnectionLost):
                if reply.done() and (early := reply.result()) is not None:
                    return early
                raise
            async with asyncio.timeout_at(reply_by):
                body = await reply
        except TimeoutError as error:
            raise ReplyTimeout(
                f"no reply within {timeout:.3g} s and {grace:g} s of grace: is a gateway running?",
                call_id=request.call_id,
                retryable=request.repeatable,
            ) from error
        finally:
            del self._replies[correlation_id]
        if body is None:
            raise lost(request, "the reply came")
        return body

    async def _publish(self, request: Request, correlation_id: str | None, timeout: float) -> None:
        with translated(request, timeout):
            await self._underlay.basic_publish(
                request.body,
                exchange=names.CALLS_EXCHANGE,
                routing_key=request.routing_key,
                properties=spec.Basic.Properties(
                    content_type=names.CONTENT_TYPE,
                    headers=dict(request.headers),
                    delivery_mode=2,
                    correlation_id=correlation_id,
                    reply_to=names.DIRECT_REPLY_TO if correlation_id else None,
                    expiration=request.expiration(time.time()),
                    message_id=request.call_id,
                    message_type=names.CALL_TYPE,
                    user_id=self._user,
                ),
                # Nothing comes back as long as the exchange has its alternate exchange.
                mandatory=True,
                timeout=timeout,
                # The confirm is waited for, so waiting for the socket would only slow it down.
                wait=False,
            )
        self.proven = True

    async def _consume_replies(self) -> None:
        # The broker refuses a publish with direct reply-to before this consumer exists.
        self._underlay.on_consumer_cancel_callbacks.add(lambda _: self._end())
        await self._underlay.basic_consume(names.DIRECT_REPLY_TO, self._on_reply, no_ack=True)

    async def _on_reply(self, message: DeliveredMessage) -> None:
        reply = self._replies.get(message.header.properties.correlation_id or "")
        if reply is not None and not reply.done():
            reply.set_result(message.body)

    def _on_closed(self, _: asyncio.Future[Any]) -> None:
        self._end()
        # Nothing is written any more: a publish that waits for room to write must not wait on.
        while not self._underlay.write_queue.empty():
            self._underlay.write_queue.get_nowait()

    def _end(self) -> None:
        self._ended.set()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_result(None)


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.close()
    except Exception as error:  # noqa: BLE001  whatever happens, the connection is given up
        _log.debug("closing the connection failed", exc_info=error)
