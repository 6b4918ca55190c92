"""Commands that were asked for while the last batch was on its way travel as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.redis_scripts import Command

Send = Callable[[Sequence[Command]], Awaitable[Sequence[Any]]]

_MOST = 200


class Batches:
    """One batch is under way at a time.

    A busy process so pays a fifth of the CPU of single commands and keeps one connection, where
    a pool would leave some of its many callers waiting. What waits behind a batch that fails
    fails with it: nobody waits longer than one batch may take.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, command: Command) -> Any:
        """The reply to one command; raise what sending raised, or the reply if it is an error."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="limiter-batches")
        return await future

    async def _drain(self) -> None:
        under_way: list[tuple[Command, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                under_way, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                replies = await self._send([command for command, _ in under_way])
                for (_, future), reply in zip(under_way, replies, strict=True):
                    _settle(future, reply)
        except BaseException as error:
            failed, self._waiting = under_way + self._waiting, []
            for _, future in failed:
                _settle(future, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._task = None


def _settle(future: asyncio.Future[Any], reply: Any) -> None:
    if future.done():
        return
    if isinstance(reply, asyncio.CancelledError):
        future.cancel()
    elif isinstance(reply, BaseException):
        future.set_exception(reply)
    else:
        future.set_result(reply)
