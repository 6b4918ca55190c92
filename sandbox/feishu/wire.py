"""Puts an answer onto the wire, whole or damaged."""

from __future__ import annotations

import asyncio

from aiohttp import web

from .faults import Wire

HUGE_BYTES = 11 * 1024 * 1024


async def deliver(
    request: web.BaseRequest, response: web.Response, wire: Wire
) -> web.StreamResponse:
    """Send `response` as `wire` says; where nothing whole is sent, wait to be cancelled."""
    if wire is Wire.PLAIN:
        return response
    if wire is Wire.HUGE:
        return await _huge(request, response)
    if wire is Wire.TRUNCATED:
        _truncate(request, response)
    elif wire is Wire.CUT and request.transport is not None:
        request.transport.abort()
    # The handler is cancelled as soon as the connection is lost, here or by the client.
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


def _truncate(request: web.BaseRequest, response: web.Response) -> None:
    if request.transport is None or not isinstance(response.body, bytes):
        return
    headers = {**response.headers, "Content-Length": str(len(response.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    half = response.body[: len(response.body) // 2]
    request.transport.write(f"HTTP/1.1 {response.status} OK\r\n{lines}\r\n".encode() + half)
    request.transport.close()


async def _huge(request: web.BaseRequest, response: web.Response) -> web.StreamResponse:
    stream = web.StreamResponse(headers=response.headers)
    await stream.prepare(request)
    await stream.write(b'{"code":0,"msg":"success","data":{"filler":"')
    piece = b"x" * 65_536
    for _ in range(HUGE_BYTES // len(piece)):
        await stream.write(piece)
    await stream.write(b'"}}')
    await stream.write_eof()
    return stream
