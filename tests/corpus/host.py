"""Feishu's host as a bare socket: it keeps requests as they came, and answers what it is told to.

No HTTP library is between: one would mend what is wrong in either.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.corpus.forms import GOOD, Form

_TOKEN = b"/open-apis/auth/v3/"
_MARK = re.compile(rb"/open-apis/[a-z]+/(b[0-9]+-[0-9]+)(?=[/?]|\Z)")
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """A request, byte by byte."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Those of all headers of this name, in lower case."""
        return [value for key, value in self.headers if key.lower() == name]


class Host:
    """Listens on two ports: Feishu's, and one that nobody may ever be led to."""

    def __init__(self) -> None:
        self.received: dict[str, list[Received]] = defaultdict(list)
        """By the mark in the path; under no mark what has none."""
        self.forms: dict[str, Form] = {}
        """The answer to the first request with a mark; every other is a success."""
        self.issued: list[str] = []
        self.strays = 0
        """Connections to the other port."""
        self._servers: list[asyncio.Server] = []
        self.url = self.evil = ""

    async def start(self) -> None:
        """Listen on free ports."""
        for serve in (self._serve, self._stray):
            server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_LARGEST)
            self._servers.append(server)
        self.url, self.evil = (
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in self._servers
        )

    async def stop(self) -> None:
        """Close the ports."""
        for server in self._servers:
            server.close()

    async def _stray(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.strays += 1
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False where the connection is to be closed then."""
        request, target = await _read(reader)
        if target.startswith(_TOKEN):
            writer.write(self._token())
            await writer.drain()
            return True
        found = _MARK.match(target)
        mark = found[1].decode() if found else ""
        first = not self.received[mark]
        self.received[mark].append(request)
        form = self.forms.get(mark) if first else None
        await (form or GOOD).write(writer, mark.encode(), self.evil.encode())
        return form is None or not form.closes

    def _token(self) -> bytes:
        token = f"t-{secrets.token_hex(16)}"
        self.issued.append(token)
        fields: Mapping[str, object] = {
            "code": 0,
            "msg": "ok",
            "tenant_access_token": token,
            "app_access_token": token,
            "expire": 7200,
        }
        content = json.dumps(fields).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % len(content) + content


async def _read(reader: asyncio.StreamReader) -> tuple[Received, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    method, target, _version = first.split(b" ")
    pairs = (line.partition(b": ") for line in lines)
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, _, value in pairs)
    lower = {name.lower(): value for name, value in headers}
    if "chunked" in lower.get("transfer-encoding", ""):
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(lower.get("content-length", "0")))
    return Received(method.decode(), target.decode("latin-1"), headers, body), target


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return bytes(body)
