"""A producer that accounts for every id: what was confirmed, and every answer that came."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from schemas import names

CONFIRM_SECONDS = 10.0
AT_ONCE = 500

T = TypeVar("T")


@dataclass(slots=True)
class Line:
    """One id."""

    call_id: str
    offered: float
    confirmed: float | None = None
    answered: float | None = None
    replies: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def outcome(self) -> str:
        """How it ended: ok, an error type, lost, or unconfirmed."""
        if self.replies:
            first = self.replies[0]
            return "ok" if first["ok"] else str(first["error"]["type"])
        return "lost" if self.confirmed else "unconfirmed"

    @property
    def seconds(self) -> float | None:
        """From the offer to the first answer; none before it came."""
        return None if self.answered is None else self.answered - self.offered

    @property
    def conflicting(self) -> bool:
        """Whether a later answer says something else than the first."""
        said = {(reply["ok"], (reply["error"] or {}).get("type")) for reply in self.replies}
        return len(said) > 1


class Producer:
    """Publishes calls and collects their answers from a durable queue of its own.

    A publish that is not confirmed is repeated under the same id, as the contract asks. Calls
    name the user of the URL as their producer.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._user = URL(url).user
        self._queue = f"lark.reply.proof.{uuid.uuid4().hex[:12]}"
        self.lines: dict[str, Line] = {}
        self.waiting = 0
        """Calls that were offered and not answered yet."""

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect_robust(self._url, reconnect_interval=0.5)
        self._channel = await self._connection.channel(publisher_confirms=True)
        await self._channel.set_qos(prefetch_count=500)
        queue = await self._channel.declare_queue(
            self._queue, durable=True, arguments={"x-expires": 3_600_000}
        )
        self._exchange = await self._channel.get_exchange(names.CALLS_EXCHANGE, ensure=False)
        await queue.consume(self._collect)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with suppress(Exception):
            await self._connection.close()

    async def _collect(self, message: AbstractIncomingMessage) -> None:
        line = self.lines.get(message.correlation_id or "")
        if line is not None:
            self.waiting -= not line.replies
            line.replies.append(json.loads(message.body))
            line.answered = line.answered or time.monotonic()
            line.arrived.set()
        await message.ack()

    async def call(
        self,
        body: dict[str, Any],
        *,
        app: str = "default",
        lane: str = "interactive",
        seconds: float = 60,
        retry_publish: bool = True,
    ) -> Line:
        """Publish one call until it is confirmed; the answer comes to the ledger."""
        line = Line(f"p-{uuid.uuid4().hex}", time.monotonic())
        self.lines[line.call_id] = line
        self.waiting += 1
        deadline = time.time() + seconds
        while line.confirmed is None and (retry_publish or not line.replies):
            message = aio_pika.Message(
                json.dumps(body).encode(),
                message_id=line.call_id,
                correlation_id=line.call_id,
                reply_to=self._queue,
                user_id=self._user,
                delivery_mode=2,
                content_type=names.CONTENT_TYPE,
                headers={names.HEADER_DEADLINE: int(deadline * 1000)},
            )
            try:
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await self._exchange.publish(message, routing_key=f"{app}.{lane}")
                line.confirmed = time.monotonic()
            except Exception:  # noqa: BLE001  any failure means: not confirmed, publish again
                await asyncio.sleep(0.2)
        return line

    async def publish(
        self, bodies: Iterable[dict[str, Any]], *, lane: str, seconds: float
    ) -> list[Line]:
        """Publish many calls fast, some hundred confirms under way at a time."""
        lines: list[Line] = []
        for batch in batches(bodies, AT_ONCE):
            calls = (self.call(body, lane=lane, seconds=seconds) for body in batch)
            lines += await asyncio.gather(*calls)
        return lines

    async def answered(self, lines: Iterable[Line], seconds: float) -> None:
        """Wait until each has an answer, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for line in lines:
                    await line.arrived.wait()


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """The same in lists of at most so many."""
    source = iter(things)
    while batch := list(islice(source, size)):
        yield batch


def summary(lines: Sequence[Line]) -> dict[str, Any]:
    """The figures of a run. Seconds count from the offer to the first answer."""
    waits = sorted(line.answered - line.offered for line in lines if line.answered)
    return {
        "offered": len(lines),
        "outcomes": dict(Counter(line.outcome for line in lines)),
        "answered_twice": sum(len(line.replies) > 1 for line in lines),
        "conflicting": sum(line.conflicting for line in lines),
        "p50_s": round(waits[len(waits) // 2], 3) if waits else None,
        "p99_s": round(waits[int(len(waits) * 0.99)], 3) if waits else None,
        "slowest_s": round(waits[-1], 3) if waits else None,
    }
