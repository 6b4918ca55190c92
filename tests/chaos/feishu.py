"""The simulated Feishu as a process of its own, told what to do, and its record of requests."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp

from tests.chaos.calls import LIMITS
from tests.chaos.ledger import Book, Ledger
from tests.support.sandbox_process import PROMPT

_PAGE: Final = 1_000_000
_ANSWER_SECONDS: Final = 20.0
"""After it no answer is expected any more: every caller has hung up."""


class Feishu:
    """Speaks with the control endpoint of one simulated Feishu."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def read(self, name: str, **query: str) -> Any:
        """Read one of its reports."""
        return await self._ask("GET", name, params=query)

    async def tell(self, name: str, body: Any) -> Any:
        """Change something of it."""
        return await self._ask("POST", name, json=body)

    async def forget_faults(self) -> None:
        """Have nothing go wrong any more."""
        await self._ask("DELETE", "faults")

    async def _ask(self, method: str, name: str, **options: Any) -> Any:
        url = f"{self.url}/_sandbox/{name}"
        async with self._http.request(method, url, **options) as response:
            text = await response.text()
            assert response.status == 200, text
            return json.loads(text) if text else None


class Witness:
    """Copies the record of requests into the ledger, each anew when its answer is known."""

    def __init__(self, feishu: Feishu, ledger: Ledger) -> None:
        self._feishu = feishu
        self._ledger = ledger
        self._last = 0
        self._unanswered: dict[int, float] = {}

    async def watch(self, pause: float = 1.0) -> None:
        """Copy what is new, again and again."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                await self.look()
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Copy what is new."""
        now = time.time()
        for number, at in tuple(self._unanswered.items()):
            if now - at > _ANSWER_SECONDS:
                del self._unanswered[number]
        since = min(self._unanswered, default=self._last + 1) - 1
        report = await self._feishu.read("ledger", since=str(since), limit=str(_PAGE))
        for entry in report["entries"]:
            self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        number, answered = entry["number"], entry["status"] != 0
        if number > self._last or (answered and number in self._unanswered):
            self._ledger.write(Book.REQUESTS, **entry)
        if answered:
            self._unanswered.pop(number, None)
        elif number > self._last:
            self._unanswered[number] = entry["time"]
        self._last = max(self._last, number)


@asynccontextmanager
async def simulated_feishu(apps: Sequence[tuple[str, str]]) -> AsyncIterator[Feishu]:
    """Start one that knows these apps and their secrets, with the limits of the calls."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox.feishu"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            feishu = Feishu(line.removeprefix(PROMPT).strip(), http)
            for app_id, secret in apps:
                await feishu.tell("apps", {"app_id": app_id, "secret": secret})
            await feishu.tell("limits", {"apis": dict(LIMITS), "chat_limit": None})
            yield feishu
    finally:
        process.terminate()
        await process.wait()
