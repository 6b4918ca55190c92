"""A TCP proxy that sees every chunk and may pass it on, keep it back, or swallow what follows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from .proxy import Way

_CHUNK = 65536
_TAIL = 4096
_ROLE = re.compile(rb"lark-service/[^/]+/\d+/([a-z-]+)")


@dataclass(eq=False, slots=True)
class Flow:
    """One direction of one connection. `recent` ends with the chunk that is looked at."""

    way: Way
    recent: bytes = b""
    swallowed: bool = False

    def see(self, chunk: bytes) -> None:
        """Take note of a chunk, so that what is cut between two chunks is found all the same."""
        self.recent = self.recent[-_TAIL:] + chunk


@dataclass(eq=False, slots=True)
class Connection:
    """One connection through the proxy; `role` is what an AMQP client calls it, else empty."""

    role: str = ""
    marks: set[str] = field(default_factory=set)
    """What a rule has seen go by on it."""
    up: Flow = field(default_factory=lambda: Flow(Way.UP))
    down: Flow = field(default_factory=lambda: Flow(Way.DOWN))


Verdict = int | asyncio.Event | None
"""What becomes of a chunk: None passes it on, an event when it is set; a number passes so many
bytes, and swallows the rest and all that follows in this direction while the connection stays."""
Rule = Callable[[Connection, Flow, bytes], Verdict]


def pass_on(_: Connection, __: Flow, ___: bytes) -> Verdict:
    """The rule of a network that works."""
    return None


class WatchedProxy:
    """Forwards one local port to another under a rule that may be changed at any time.

    What is swallowed or kept back never arrives when the connection ends first.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open_ends: set[asyncio.StreamWriter] = set()
        self.rule: Rule = pass_on
        self.admits = asyncio.Event()
        """Until it is set a connection is accepted and nothing is passed on."""
        self.admits.set()

    @property
    def port(self) -> int:
        """The local port that clients connect to."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Accept connections on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        """Refuse new connections and reset the open ones."""
        if self._server is not None:
            self._server.close()
        self.admits.set()
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for end in list(self._open_ends):
            end.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            await self.admits.wait()
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            ends.append(far_writer)
            self._open_ends.update(ends)
            connection = Connection()
            pumps = [
                asyncio.create_task(self._pump(connection, connection.up, reader, far_writer)),
                asyncio.create_task(self._pump(connection, connection.down, far_reader, writer)),
            ]
            # One end that is gone ends both, also while the other's bytes are kept back.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
        except OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()
                self._open_ends.discard(end)

    async def _pump(
        self,
        connection: Connection,
        flow: Flow,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        queue: asyncio.Queue[tuple[bytes, asyncio.Event | None]] = asyncio.Queue()
        writing = asyncio.create_task(_write(queue, writer))
        try:
            with suppress(OSError):
                while chunk := await reader.read(_CHUNK):
                    flow.see(chunk)
                    if not connection.role and (named := _ROLE.search(flow.recent)):
                        connection.role = named[1].decode()
                    verdict = self.rule(connection, flow, chunk)
                    if flow.swallowed:
                        continue
                    if isinstance(verdict, int):
                        flow.swallowed = True
                        queue.put_nowait((chunk[:verdict], None))
                    else:
                        queue.put_nowait((chunk, verdict))
        finally:
            writing.cancel()


async def _write(
    queue: asyncio.Queue[tuple[bytes, asyncio.Event | None]], writer: asyncio.StreamWriter
) -> None:
    # Apart from the reading, so that the end of a connection is seen while a chunk is kept back.
    with suppress(OSError):
        while True:
            chunk, when = await queue.get()
            if when is not None:
                await when.wait()
            if chunk:
                writer.write(chunk)
                await writer.drain()
