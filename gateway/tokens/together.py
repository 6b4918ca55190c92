"""Joins questions, so that a crowd of them costs a store few queries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

import structlog

from .stores import StoreAway

MOST_AT_ONCE = 500

V = TypeVar("V")

log = structlog.get_logger(__name__)


class Together(Generic[V]):
    """Asks for many keys in one query: those that come while one is under way go in the next."""

    def __init__(self, ask: Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, V]]]) -> None:
        self._ask = ask
        self._waiting: dict[bytes, asyncio.Future[V | StoreAway | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: bytes) -> V | None:
        """What the query has for this key; raises StoreAway as it does."""
        answer = self._waiting.get(key)
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = self._waiting[key] = loop.create_future()
            if self._task is None or self._task.done():
                self._task = loop.create_task(self._run())
        # Shielded: others may wait for the same.
        found = await asyncio.shield(answer)
        if isinstance(found, StoreAway):
            raise StoreAway(str(found))
        return found

    async def _run(self) -> None:
        while self._waiting:
            batch = dict(islice(self._waiting.items(), MOST_AT_ONCE))
            for key in batch:
                del self._waiting[key]
            try:
                found = await self._ask(list(batch))
            except StoreAway as error:
                _tell_all(batch, error)
            except Exception:
                log.exception("defect while asking a store")
                _tell_all(batch, StoreAway("a defect in the gateway"))
            else:
                for key, answer in batch.items():
                    answer.set_result(found.get(key))


def _tell_all(batch: Mapping[bytes, asyncio.Future[Any]], error: StoreAway) -> None:
    for answer in batch.values():
        answer.set_result(error)
