"""What every scene of the demo works with."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cli.call.fields import written
from cli.producer import Message, Producer
from gateway.database import Database

from .children import Gateway

CALL_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the demo claims: what was expected, what was seen, and whether it held."""

    expected: str
    seen: str
    held: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How one call ended, as its producer saw it; `type` is ok or the error's."""

    type: str
    seconds: float
    reply: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether Feishu carried it out."""
        return self.type == "ok"


class Feishu:
    """The control endpoint of the simulated Feishu."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url

    async def read(self, name: str, **query: str) -> Any:
        """One of its reports."""
        async with self._http.get(f"{self.url}/_sandbox/{name}", params=query) as answer:
            return await answer.json()

    async def change(self, name: str, **fields: Any) -> Any:
        """Change how it behaves."""
        async with self._http.post(f"{self.url}/_sandbox/{name}", json=fields) as answer:
            return await answer.json()

    async def counted(self, api: str) -> tuple[int, int]:
        """How many requests of an API it accepted, and how many it answered with a rate limit."""
        limits = (await self.read("stats"))["limits"]
        of_api = [row for row in limits if row["api"] == api]
        return sum(row["accepted"] for row in of_api), sum(row["rejected"] for row in of_api)


@dataclass(frozen=True, slots=True)
class Stage:
    """The running parts. Everything printed is for the reader, nothing of it is needed."""

    console: Console
    rabbitmq_url: str
    producer: Producer
    database: Database
    feishu: Feishu
    http: aiohttp.ClientSession
    gateways: Sequence[Gateway]
    run: str
    """Makes the call ids of this run its own."""
    skipped: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str, call_id: str, **fields: Any) -> Ended:
        """Make one call with `seconds` to do it; raises CommandFailed when no reply comes."""
        seconds = fields.pop("seconds", CALL_SECONDS)
        body = written({"method": method, "path": path, **fields})
        return await self.send(Message(f"{self.run}-{call_id}", body, seconds))

    async def send(self, message: Message) -> Ended:
        """Publish one message and wait for its reply."""
        began = time.monotonic()
        reply = orjson.loads((await self.producer.call(message)).body)
        type_ = "ok" if reply["ok"] else str(reply["error"]["type"])
        return Ended(type_, time.monotonic() - began, reply)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of one metric over all gateway processes."""
        total = 0.0
        for gateway in self.gateways:
            async with self.http.get(f"{gateway.url}/metrics") as answer:
                text = await answer.text()
            for family in text_string_to_metric_families(text):
                total += sum(
                    sample.value
                    for sample in family.samples
                    if sample.name == name and labels.items() <= sample.labels.items()
                )
        return total

    def say(self, text: str) -> None:
        """Print a paragraph."""
        self.console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))

    def show(self, name: str, value: object) -> None:
        """Print one fact, indented."""
        self.console.print(Text.assemble((f"    {name:<18}", "cyan"), str(value)), soft_wrap=True)

    def show_json(self, text: bytes | str) -> None:
        """Print JSON as it came, indented, on one line."""
        told = text.decode() if isinstance(text, bytes) else text
        self.console.print(Text(f"    {told}", "dim"), soft_wrap=True)


@asynccontextmanager
async def calls_of() -> AsyncIterator[list[asyncio.Task[Ended]]]:
    """A list for calls that are made at the same time; none of them outlives the block."""
    calls: list[asyncio.Task[Ended]] = []
    try:
        yield calls
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def milliseconds(seconds: float) -> str:
    """How long something took, for people."""
    return f"{seconds * 1000:.0f} ms"
