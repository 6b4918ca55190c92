"""A producer that costs next to nothing: the few frames of AMQP that remote calls need, by hand."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote, urlsplit

from pamqp import commands as spec
from pamqp import frame as frames
from pamqp.base import Frame
from pamqp.header import ContentHeader, ProtocolHeader

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"
_METHOD, _HEADER, _BODY = 1, 2, 3
_DELIVER, _ACK = (60, 60), (60, 80)
_PREFIX = struct.Struct(">BHI")
_PAIR = struct.Struct(">HH")
_SIZE = struct.Struct(">Q")
_MARK = b"@call-"
"""Begins a correlation id, so that it is found in a reply's header without parsing the header."""
_NUMBER = "{:010d}"
_ID_LENGTH = len(_MARK) + 10

OnReply = Callable[[int, bytes], None]
"""Takes the number of a call and the body of its reply."""


class Producer(asyncio.Protocol):
    """One connection with one channel: confirmed publishes, replies by direct reply-to."""

    def __init__(self, url: str, on_reply: OnReply, on_end: Callable[[], None]) -> None:
        """*on_end* is called after each chunk of data, when all its replies were handed over."""
        parts = urlsplit(url)
        self._account = f"\0{unquote(parts.username or '')}\0{unquote(parts.password or '')}"
        self._vhost = unquote(parts.path[1:]) or "/"
        self._on_reply = on_reply
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._number = -1
        self._body = b""
        self._left = 0
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.confirmed = 0
        """Publishes that the broker has confirmed, the highest tag."""

    def write(self, data: bytes) -> None:
        """Send frames that `Template.publish` made."""
        assert self._transport is not None
        self._transport.write(data)

    async def close(self) -> None:
        """Part from the broker; it forgets the replies under way."""
        self._send(0, spec.Connection.Close(200, "done", 0, 0))
        await asyncio.wait({self._closed}, timeout=2)
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self.write(ProtocolHeader(0, 9, 1).marshal())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("RabbitMQ closed the connection"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start, size = 0, len(buffer)
        while size - start >= 8:
            kind, channel, length = _PREFIX.unpack_from(buffer, start)
            end = start + 8 + length
            if end > size:
                break
            payload = bytes(buffer[start + 7 : end - 1])
            if kind == _METHOD:
                self._method(channel, payload, bytes(buffer[start:end]))
            elif kind == _HEADER:
                self._header(payload)
            elif kind == _BODY:
                self._content(payload)
            start = end
        del buffer[:start]
        self._on_end()

    def _header(self, payload: bytes) -> None:
        at = payload.find(_MARK)
        digits = payload[at + len(_MARK) : at + _ID_LENGTH]
        self._number = int(digits) if at > 0 else -1
        self._left, self._body = _SIZE.unpack_from(payload, 4)[0], b""

    def _content(self, payload: bytes) -> None:
        self._body = self._body + payload if self._body else payload
        self._left -= len(payload)
        if self._left <= 0:
            self._on_reply(self._number, self._body)

    def _method(self, channel: int, payload: bytes, whole: bytes) -> None:
        method = _PAIR.unpack_from(payload)
        if method == _DELIVER:
            return
        if method == _ACK:
            self.confirmed = max(self.confirmed, _SIZE.unpack_from(payload, 4)[0])
            return
        _, _, frame = frames.unmarshal(whole)
        self._handshake(frame)

    def _handshake(self, frame: object) -> None:
        match frame:
            case spec.Connection.Start():
                self._send(0, spec.Connection.StartOk({}, "PLAIN", self._account))
            case spec.Connection.Tune():
                tuned = spec.Connection.TuneOk(frame.channel_max, frame.frame_max, 0)
                self._send(0, tuned, spec.Connection.Open(self._vhost))
            case spec.Connection.OpenOk():
                self._send(1, spec.Channel.Open())
            case spec.Channel.OpenOk():
                self._send(1, spec.Confirm.Select())
            case spec.Confirm.SelectOk():
                self._send(1, spec.Basic.Consume(queue=DIRECT_REPLY_TO, no_ack=True))
            case spec.Basic.ConsumeOk():
                self.ready.set_result(None)
            case spec.Connection.CloseOk():
                self._closed.set_result(None)
            case spec.Connection.Close() | spec.Channel.Close():
                raise ConnectionError(f"RabbitMQ closed: {frame.reply_text}")

    def _send(self, channel: int, *messages: Frame) -> None:
        self.write(b"".join(frames.marshal(message, channel) for message in messages))


class Template:
    """The bytes of one kind of call, into which only its number is written."""

    def __init__(self, exchange: str, routing_key: str, body: bytes, run: str) -> None:
        """*run* makes the call ids unique to this run; its length must not vary."""
        placeholder = _NUMBER.format(0)
        properties = spec.Basic.Properties(
            content_type="application/json",
            delivery_mode=2,
            correlation_id=_MARK.decode() + placeholder,
            reply_to=DIRECT_REPLY_TO,
            message_id=f"{run}-{placeholder}",
        )
        publish = frames.marshal(spec.Basic.Publish(0, exchange, routing_key), 1)
        header = frames.marshal(ContentHeader(0, len(body), properties), 1)
        content = _PREFIX.pack(_BODY, 1, len(body)) + body + b"\xce"
        self._parts = (publish + header + content).split(placeholder.encode())
        assert len(self._parts) == 3

    def publish(self, number: int) -> bytes:
        """The frames that publish the call with this number."""
        return _NUMBER.format(number).encode().join(self._parts)


async def connect(url: str, on_reply: OnReply, on_end: Callable[[], None]) -> Producer:
    """Connect and get ready to call; raises OSError when that fails."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, producer = await loop.create_connection(
        lambda: Producer(url, on_reply, on_end), parts.hostname or "", parts.port or 5672
    )
    async with asyncio.timeout(10):
        await producer.ready
    return producer
