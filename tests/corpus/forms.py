"""An answer of Feishu's host, byte by byte, and what the producer may be told of it."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

OK: Final = frozenset({"ok"})
BAD: Final = frozenset({"bad_response"})
CUT: Final = frozenset({"feishu_unavailable"})
ERROR: Final = frozenset({"feishu_error"})
SLOW: Final = frozenset({"timeout"})
LIMITED: Final = frozenset({"rate_limited"})
NO_HTTP: Final = BAD | CUT
"""What is no HTTP may be told as such, or as a cut connection where it ends too soon."""
JSON: Final = b"application/json; charset=utf-8"
ECHO: Final = b'{"code":0,"msg":"success","data":{"echo":"MARK"}}'
FOREIGN: Final = b"FOREIGN-ANSWER"
"""Stands in what belongs to no request; no reply may hold it."""
_LENGTH = re.compile(rb"LENGTH(?:([+-])([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Form:
    """Bytes to answer with; `ends` are what the reply may say: "ok" or types of error.

    In them MARK stands for the request's mark, EVIL for the forbidden address, LENGTH for the bytes
    after the head. Then comes `piece`, `times` times, `pause` seconds apart. One that `limits`
    needs an API of its own, for others of it wait.
    """

    name: str
    data: bytes
    ends: frozenset[str] = BAD
    piece: bytes = b""
    times: int = 0
    pause: float = 0.0
    closes: bool = True
    limits: bool = False

    async def write(self, writer: asyncio.StreamWriter, mark: bytes, evil: bytes) -> None:
        """Write it all, unless the other side hangs up before."""
        data = self.data.replace(b"MARK", mark).replace(b"EVIL", evil)
        head, separator, body = data.partition(b"\r\n\r\n")
        head = _LENGTH.sub(lambda found: _length(found, body), head)
        with suppress(OSError):
            writer.write(head + separator + body)
            await writer.drain()
            for _ in range(self.times):
                if writer.is_closing():
                    return
                writer.write(self.piece)
                await writer.drain()
                await asyncio.sleep(self.pause)


def _length(found: re.Match[bytes], body: bytes) -> bytes:
    more = int(found[2] or 0)
    return str(len(body) + (more if found[1] == b"+" else -more)).encode()


def answer(
    body: bytes = ECHO,
    *,
    status: bytes = b"200 OK",
    type_: bytes = JSON,
    more: bytes = b"",
    length: bytes = b"Content-Length: LENGTH\r\n",
    connection: bytes = b"Connection: close\r\n",
) -> bytes:
    """A whole answer; `more` are further lines of its head."""
    line = b"Content-Type: %s\r\n" % type_ if type_ else b""
    return b"HTTP/1.1 " + status + b"\r\n" + line + length + connection + more + b"\r\n" + body


GOOD: Final = Form("good", answer(connection=b""), OK, closes=False)
