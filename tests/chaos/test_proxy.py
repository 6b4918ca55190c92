"""Every toxic of the proxy, between a client and a server that sends everything back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.chaos.proxy import Proxy, Way
from tests.support.waiting import eventually

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy in front of an echo."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    proxy = Proxy("127.0.0.1", server.sockets[0].getsockname()[1])
    await proxy.open()
    yield proxy
    await proxy.close()
    server.close()


@pytest.fixture
async def ends(proxy: Proxy) -> AsyncIterator[Ends]:
    """A client's connection through the proxy, over which something went already."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    yield reader, writer
    writer.transport.abort()


async def test_what_is_held_comes_when_it_is_released(proxy: Proxy, ends: Ends) -> None:
    reader, writer = ends
    proxy.hold(Way.DOWN)
    writer.write(b"one")
    await eventually(lambda: proxy.passed[Way.UP] == len(b"helloone"))
    assert proxy.passed[Way.DOWN] == len(b"hello")
    proxy.release()
    assert await reader.readexactly(3) == b"one"


async def test_what_vanishes_does_not_come_back_and_the_connection_stays(
    proxy: Proxy, ends: Ends
) -> None:
    reader, writer = ends
    proxy.blackhole(Way.UP)
    writer.write(b"gone")
    await eventually(lambda: proxy.swallowed[Way.UP] == len(b"gone"))
    proxy.heal()
    writer.write(b"here")
    assert await reader.readexactly(4) == b"here"
    assert proxy.connections == 1


async def test_a_cut_resets_the_connection(proxy: Proxy, ends: Ends) -> None:
    reader, _ = ends
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    await eventually(lambda: proxy.connections == 0)


async def test_who_is_refused_is_reset_until_it_heals(proxy: Proxy, ends: Ends) -> None:
    proxy.refuse()
    reader, _ = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    proxy.heal()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"again")
    assert await reader.readexactly(5) == b"again"
    writer.transport.abort()


async def test_only_so_much_passes_then_it_is_cut_once(proxy: Proxy, ends: Ends) -> None:
    reader, writer = ends
    proxy.change(Way.DOWN, limit_data=3)
    writer.write(b"abcdef")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(6)
    assert proxy.passed[Way.DOWN] == len(b"hello") + 3
    assert proxy.toxics(Way.DOWN).limit_data is None


async def test_these_bytes_cut_also_when_they_come_in_two_pieces(proxy: Proxy, ends: Ends) -> None:
    reader, writer = ends
    proxy.change(Way.UP, cut_on=b"COMMIT")
    writer.write(b"..COM")
    assert await reader.readexactly(5) == b"..COM"
    writer.write(b"MIT..")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(5)


async def test_slices_and_latency_change_no_byte(proxy: Proxy, ends: Ends) -> None:
    reader, writer = ends
    proxy.change(slice_size=7, latency=0.002, jitter=0.002, bandwidth=1_000_000.0)
    sent = bytes(range(256)) * 4
    writer.write(sent)
    assert await reader.readexactly(len(sent)) == sent
