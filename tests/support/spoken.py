"""The other end of a connection, that says what it is told to say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Spoken:
    """What the server at the other end says, and what it heard."""

    words: bytes = b""
    heard: list[bytes] = field(default_factory=list)
    stays: bool = False
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.words)
        if self.stays:
            await reader.read()
        writer.close()
