"""Calls that ask for the same kind of statement at one time share it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from .protocol import Question

_MOST = 200

A = TypeVar("A")


class Asked(NamedTuple):
    """What is asked of one row; `more` depends on the statement."""

    question: Question
    more: tuple[Any, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The key of the row."""
        return self.question.alias, self.question.call_id


class Together(Generic[A]):
    """Runs one statement at a time; what comes meanwhile goes in the next, each row once.

    What waits behind a statement that fails fails with it.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Asked]], Awaitable[Sequence[A]]],
        places: asyncio.Semaphore,
    ) -> None:
        """*places* is shared by those who use the same connections."""
        self._run = run
        self._places = places
        self._waiting: list[tuple[Asked, asyncio.Future[A]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> A:
        """What the statement says of this row; raises what running it raised."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="outcomes-together")
        return await future

    async def _drain(self) -> None:
        batch: list[tuple[Asked, asyncio.Future[A]]] = []
        try:
            while self._waiting:
                async with self._places:
                    batch = self._next()
                    answers = await self._run([asked for asked, _ in batch])
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
        except BaseException as error:
            failed, self._waiting = batch + self._waiting, []
            for _, future in failed:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._task = None

    def _next(self) -> list[tuple[Asked, asyncio.Future[A]]]:
        batch: dict[tuple[str, str], tuple[Asked, asyncio.Future[A]]] = {}
        later: list[tuple[Asked, asyncio.Future[A]]] = []
        for entry in self._waiting:
            asked, future = entry
            if future.done():
                continue
            if asked.key in batch or len(batch) == _MOST:
                later.append(entry)
            else:
                batch[asked.key] = entry
        self._waiting = later
        return list(batch.values())
