"""Producers and collectors that speak plain AMQP, and write down what they do and get."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import DeliveryError, PublishError
from pamqp import commands as spec

from tests.chaos.calls import Call
from tests.chaos.ledger import Book, Ledger

CALLS: Final = "lark.calls"
DEAD_LETTERS: Final = "lark.dlx"
DURABLE: Final = "lark.reply.chaos"
LETTERS: Final = "chaos.letters"
DIRECT: Final = "amq.rabbitmq.reply-to"
_CONFIRM_SECONDS: Final = 45.0
_AGAIN_SECONDS: Final = 0.3
_PREFETCH: Final = 500

# A channel that is closed already is told of by a RuntimeError.
_BROKEN: Final = (aiormq.AMQPError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)


class Line:
    """A connection that is opened again when it is lost; `serve` is given every new one."""

    def __init__(self, url: str, serve: Callable[[Any], Awaitable[None]]) -> None:
        self._url = url
        self._serve = serve
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect for the first time."""
        connected = asyncio.Event()
        self._task = asyncio.create_task(self._stay(connected))
        async with asyncio.timeout(60):
            await connected.wait()

    async def close(self) -> None:
        """Disconnect for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _stay(self, connected: asyncio.Event) -> None:
        while True:
            connection = None
            try:
                async with asyncio.timeout(15):
                    connection = await aiormq.connect(f"{self._url}?heartbeat=10")
                    await self._serve(connection)
                connected.set()
                await asyncio.wait([connection.closing])
            except _BROKEN:
                await asyncio.sleep(_AGAIN_SECONDS)
            except asyncio.CancelledError:
                # A dying connection cancels its waiters; only a stop is meant for this task.
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
            finally:
                if connection is not None:
                    with suppress(*_BROKEN, asyncio.CancelledError):
                        async with asyncio.timeout(2):
                            await connection.close()


class Collector:
    """Takes the replies that wait in a durable queue, and every dead letter."""

    def __init__(self, url: str, ledger: Ledger, heard: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._heard = heard
        self._line = Line(url, self._serve)

    async def open(self) -> None:
        """Begin to collect; the gateway's objects must be there."""
        await self._line.open()

    async def close(self) -> None:
        """Collect no more."""
        await self._line.close()

    async def _serve(self, connection: Any) -> None:
        channel = await connection.channel()
        await channel.basic_qos(prefetch_count=_PREFETCH)
        for queue, take in ((DURABLE, self._take_reply), (LETTERS, self._take_letter)):
            await channel.queue_declare(queue, durable=True)
            if queue == LETTERS:
                await channel.queue_bind(queue, DEAD_LETTERS)
            await channel.basic_consume(queue, self._acking(channel, take))

    def _acking(
        self, channel: Any, take: Callable[[DeliveredMessage], None]
    ) -> Callable[[DeliveredMessage], Awaitable[None]]:
        async def taken(message: DeliveredMessage) -> None:
            take(message)
            with suppress(*_BROKEN):
                await channel.basic_ack(message.delivery_tag)

        return taken

    def _take_reply(self, message: DeliveredMessage) -> None:
        write_reply(self._ledger, DURABLE, message)
        self._heard(str(message.header.properties.correlation_id))

    def _take_letter(self, message: DeliveredMessage) -> None:
        properties = message.header.properties
        headers: dict[str, Any] = dict(properties.headers or {})
        reason, error = headers.get("lark-dead-reason"), headers.get("lark-dead-error")
        if reason is None:
            # The broker's own; the gateway tells what became of it.
            return
        call_id = headers.get("lark-call-id") or properties.message_id
        told = json.loads(error) if error else None
        self._ledger.write(
            Book.LETTERS,
            call_id=call_id,
            reason=reason,
            error=told,
            reply_to=properties.reply_to,
        )
        self._heard(str(call_id))


class Producer:
    """Publishes calls with confirms, and listens for replies that end with its connection."""

    def __init__(self, url: str, ledger: Ledger, heard: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._heard = heard
        self._line = Line(url, self._serve)
        self._numbers = itertools.count(1)
        self._open = asyncio.Event()
        self._channel: Any = None
        self._addresses: dict[str, tuple[str, str]] = {}

    async def open(self) -> None:
        """Connect."""
        await self._line.open()

    async def close(self) -> None:
        """Disconnect."""
        await self._line.close()

    async def connected(self) -> None:
        """Wait until it can publish."""
        await self._open.wait()

    async def publish(self, call: Call, *, reply: str = "") -> bool:
        """Publish once and say whether it was confirmed; `reply` asks for another way to answer."""
        await self._open.wait()
        channel = self._channel
        address, reply_to = self._addresses.get(reply or call.reply, (None, None))
        deadline = time.time() + call.seconds
        self._tell(call, "attempted", address, deadline=deadline)
        properties = spec.Basic.Properties(
            message_id=call.id,
            correlation_id=call.id if reply_to else None,
            reply_to=reply_to,
            delivery_mode=2,
            content_type="application/json",
            headers={"lark-deadline": int(deadline * 1000)},
        )
        try:
            async with asyncio.timeout(_CONFIRM_SECONDS):
                await channel.basic_publish(
                    json.dumps(call.body).encode(),
                    exchange=CALLS,
                    routing_key=f"{call.alias}.{call.lane}",
                    mandatory=True,
                    properties=properties,
                )
        except PublishError:
            self._tell(call, "returned", address)
        except DeliveryError:
            self._tell(call, "nacked", address)
        except _BROKEN:
            self._tell(call, "indeterminate", address)
        except asyncio.CancelledError:
            self._tell(call, "indeterminate", address)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
        else:
            self._tell(call, "confirmed", address)
            return True
        return False

    async def _serve(self, connection: Any) -> None:
        number = next(self._numbers)
        channel = await connection.channel(publisher_confirms=True)
        direct, exclusive = f"direct-{number}", f"exclusive-{number}"
        await channel.basic_consume(DIRECT, self._taking(direct), no_ack=True)
        queue = (await channel.queue_declare(exclusive=True)).queue
        await channel.basic_consume(queue, self._taking(exclusive), no_ack=True)
        await channel.queue_declare(DURABLE, durable=True)
        for address in (direct, exclusive):
            self._ledger.write(Book.ADDRESSES, address=address, kind="opened")
        self._channel = channel
        self._addresses = {
            "direct": (direct, DIRECT),
            "exclusive": (exclusive, queue),
            "durable": (DURABLE, DURABLE),
        }
        self._open.set()
        for closing in (connection.closing, channel.closing):
            closing.add_done_callback(lambda _: self._lost(number, connection))

    def _lost(self, number: int, connection: Any) -> None:
        if self._addresses.get("direct", ("",))[0] != f"direct-{number}":
            return
        self._open.clear()
        self._addresses = {}
        for kind in ("direct", "exclusive"):
            self._ledger.write(Book.ADDRESSES, address=f"{kind}-{number}", kind="lost")
        if not connection.is_closed:
            # A channel alone died: begin anew with all of it.
            asyncio.ensure_future(connection.close())  # noqa: RUF006  it ends by itself

    def _taking(self, address: str) -> Callable[[DeliveredMessage], Awaitable[None]]:
        async def take(message: DeliveredMessage) -> None:
            write_reply(self._ledger, address, message)
            self._heard(str(message.header.properties.correlation_id))

        return take

    def _tell(self, call: Call, kind: str, address: str | None, **fields: float) -> None:
        self._ledger.write(Book.CALLS, id=call.id, kind=kind, address=address, **fields)


def write_reply(ledger: Ledger, address: str, message: DeliveredMessage) -> None:
    """Write down what came to an address."""
    properties = message.header.properties
    ledger.write(
        Book.REPLIES,
        address=address,
        correlation_id=properties.correlation_id,
        type=properties.message_type,
        status=str((properties.headers or {}).get("lark-status")),
        body=json.loads(message.body),
    )
