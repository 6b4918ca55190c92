"""A TCP proxy that does to each direction of a connection what networks do."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final


class Way(StrEnum):
    """A direction: UP is from the client to the server, DOWN is back."""

    UP = "up"
    DOWN = "down"


BOTH: Final = (Way.UP, Way.DOWN)
_CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class Toxics:
    """What befalls one direction; by default nothing.

    Times are seconds, sizes bytes. `bandwidth` is bytes a second. `slice_size` passes pieces of at
    most that size one by one. `blackhole` takes everything and passes nothing on. `limit_data`
    lets so much pass after it was set, then cuts one connection and is no limit any more. `cut_on`
    cuts a connection on which these bytes come by, before they are passed on. With `held` nothing
    is passed on until the direction is not held any more; then all of it is.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float = 0.0
    slice_size: int = 0
    blackhole: bool = False
    limit_data: int | None = None
    cut_on: bytes = b""
    held: bool = False


CLEAN: Final = Toxics()


@dataclass(slots=True)
class _Direction:
    """The toxics of one direction of a proxy, and what they wake."""

    toxics: Toxics = CLEAN
    left: int | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def set(self, toxics: Toxics) -> None:
        self.toxics = toxics
        self.left = toxics.limit_data
        waiting, self.changed = self.changed, asyncio.Event()
        waiting.set()


class Proxy:
    """Forwards a local port to another one; toxics act on open connections and on new ones."""

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        """`seed` makes jitter the same in every run."""
        self._target = (host, port)
        self._random = random.Random(seed)
        self._directions = {way: _Direction() for way in BOTH}
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._refuses = False
        self.accepted = 0
        self.passed = dict.fromkeys(BOTH, 0)
        """Bytes passed on so far."""
        self.swallowed = dict.fromkeys(BOTH, 0)
        """Bytes that vanished so far."""

    @property
    def port(self) -> int:
        """The local port that clients connect to."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def open(self) -> None:
        """Accept connections on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        """Refuse new connections and reset the open ones."""
        assert self._server is not None
        self._server.close()
        self.heal()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def toxics(self, way: Way) -> Toxics:
        """What befalls a direction now."""
        return self._directions[way].toxics

    def set(self, toxics: Toxics, *ways: Way) -> None:
        """Have this befall a direction, or both, from now on."""
        for way in ways or BOTH:
            self._directions[way].set(toxics)

    def change(self, *ways: Way, **fields: object) -> None:
        """Change some of what befalls a direction, or both."""
        for way in ways or BOTH:
            toxics = replace(self._directions[way].toxics, **fields)  # type: ignore[arg-type]
            self._directions[way].set(toxics)

    def blackhole(self, *ways: Way) -> None:
        """Have everything vanish; one direction alone makes connections half-open.

        What was sent into it is gone: `heal` does not bring it back, so cut the connections then.
        """
        self.change(*ways, blackhole=True)

    def hold(self, *ways: Way) -> None:
        """Keep what is sent until `release`."""
        self.change(*ways, held=True)

    def release(self, *ways: Way) -> None:
        """Pass on what was held and all that follows."""
        self.change(*ways, held=False)

    def refuse(self) -> None:
        """Reset the open connections, and every new one as soon as it comes."""
        self._refuses = True
        self.cut()

    def heal(self) -> None:
        """Have nothing befall any direction, and take connections again."""
        self._refuses = False
        self.set(CLEAN)

    def cut(self) -> None:
        """Reset every connection (RST, both ends at once)."""
        for connection in tuple(self._connections):
            connection.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        far_reader = far_writer = None
        if not self._refuses:
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
        if far_reader is None or far_writer is None:
            _reset(writer)
            return
        connection = _Connection(writer, far_writer)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(Way.UP, reader, far_writer, connection),
                self._pump(Way.DOWN, far_reader, writer, connection),
            )
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _pump(
        self,
        way: Way,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
    ) -> None:
        direction, tail = self._directions[way], b""
        # uvloop tells of an end that is closed already by a RuntimeError.
        with suppress(OSError, RuntimeError):
            while chunk := await reader.read(_CHUNK):
                if cut_on := direction.toxics.cut_on:
                    if cut_on in tail + chunk:
                        break
                    tail = (tail + chunk)[-len(cut_on) :]
                if not await self._pass_on(way, chunk, writer):
                    break
            else:
                # The other side may still have something to say to one that is done talking.
                if writer.can_write_eof():
                    writer.write_eof()
                    return
        connection.reset()

    async def _pass_on(self, way: Way, chunk: bytes, writer: asyncio.StreamWriter) -> bool:
        """Pass a chunk on as the toxics say; False when the connection is to be cut."""
        direction = self._directions[way]
        while direction.toxics.held:
            await direction.changed.wait()
        toxics = direction.toxics
        if toxics.blackhole:
            self.swallowed[way] += len(chunk)
            return True
        if delay := toxics.latency + self._random.uniform(-1, 1) * toxics.jitter:
            await asyncio.sleep(max(0.0, delay))
        size = toxics.slice_size or len(chunk)
        for start in range(0, len(chunk), size):
            piece = chunk[start : start + size]
            if direction.left is not None:
                piece, direction.left = piece[: direction.left], direction.left - len(piece)
            writer.write(piece)
            await writer.drain()
            self.passed[way] += len(piece)
            if direction.left is not None and direction.left <= 0:
                direction.set(replace(direction.toxics, limit_data=None))
                return False
            if toxics.bandwidth:
                await asyncio.sleep(len(piece) / toxics.bandwidth)
            elif toxics.slice_size:
                await asyncio.sleep(0)
        return True


class _Connection:
    """Both ends of one forwarded connection."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    opened = writer.get_extra_info("socket")
    if opened is not None and opened.fileno() >= 0:
        # Without lingering, closing sends RST instead of FIN and drops what was not sent yet.
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
