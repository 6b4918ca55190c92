"""How an end is written in a store: JSON beside a short head, compressed where it is large."""

from __future__ import annotations

import asyncio
import zlib

import orjson

from .protocol import Recorded

_LARGE, _HUGE = 1024, 256 * 1024


async def packed(recorded: Recorded) -> bytes:
    """The end as bytes; a huge one is compressed beside the event loop."""
    size = len(recorded.response or b"") + len(recorded.error or b"")
    return await asyncio.to_thread(pack, recorded) if size > _HUGE else pack(recorded)


def pack(recorded: Recorded) -> bytes:
    """The end as bytes."""
    response, error = recorded.response or b"", recorded.error or b""
    present = [recorded.response is not None, recorded.error is not None]
    head = orjson.dumps([recorded.attempts, recorded.app, len(response), *present])
    plain = head + b"\n" + response + error
    if len(plain) < _LARGE:
        return b"p" + plain
    # The fastest level: text shrinks to a quarter by it, and a call waits for this.
    return b"z" + zlib.compress(plain, 1)


def unpack(value: bytes) -> Recorded | None:
    """The end again; None for bytes that are none."""
    try:
        plain = zlib.decompress(value[1:]) if value[:1] == b"z" else value[1:]
        head, _, rest = plain.partition(b"\n")
        attempts, app, length, answered, failed = orjson.loads(head)
        response, error = rest[:length], rest[length:]
        return Recorded(
            response if answered else None, error if failed else None, int(attempts), str(app)
        )
    except (zlib.error, ValueError, TypeError):
        return None
