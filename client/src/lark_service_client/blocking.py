"""The client for code without an event loop: the same calls, from any number of threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

from .client import GRACE_SECONDS, LarkClient
from .errors import ConnectionLost, ReplyTimeout
from .reply import Reply
from .request import CallOptions, Resend
from .schemas.call import Method

_MARGIN_SECONDS = 5.0
_Result = TypeVar("_Result")


class ClientOptions(TypedDict, total=False):
    """What LarkClient takes besides the address."""

    app: str
    resend: Resend
    connect_timeout: float
    name: str
    user: str | None
    trust_clock: bool


class BlockingLarkClient:
    """LarkClient on an event loop in a thread of its own; errors and promises are the same.

    After a fork the child must make its own client: the thread stays with the parent.
    """

    def __init__(self, amqp_url: str, **options: Unpack[ClientOptions]) -> None:
        self._client = LarkClient(amqp_url, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Start the thread and connect. Raises NotConnected."""
        if self._loop is not None:
            raise RuntimeError("the client is open already")
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run, args=(loop,), name="lark-service-client", daemon=True
        )
        self._thread.start()
        self._loop, self._process = loop, os.getpid()
        try:
            self._wait(self._client.open(), self._client.connect_timeout)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect and end the thread; calls of other threads fail with ConnectionLost."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or self._process != os.getpid():
            return
        try:
            self._wait(self._client.close(), _MARGIN_SECONDS)
        finally:
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_MARGIN_SECONDS)

    def call(
        self,
        method: Method,
        path: str,
        *,
        timeout: float = 10,
        raise_on_error: bool = True,
        **options: Unpack[CallOptions],
    ) -> Reply:
        """Make one call and wait for its reply, as LarkClient.call."""
        return self._wait(
            self._client.call(
                method, path, timeout=timeout, raise_on_error=raise_on_error, **options
            ),
            timeout + GRACE_SECONDS,
        )

    def publish(
        self,
        method: Method,
        path: str,
        *,
        timeout: float = 10,
        deadline: datetime | timedelta | None = None,
        **options: Unpack[CallOptions],
    ) -> str:
        """Hand one call over and return its call id, as LarkClient.publish."""
        return self._wait(
            self._client.publish(method, path, timeout=timeout, deadline=deadline, **options),
            timeout,
        )

    def _wait(self, work: Coroutine[Any, Any, _Result], within: float) -> _Result:
        if self._loop is None or self._process != os.getpid():
            work.close()
            raise RuntimeError("the client is not open in this process")
        future: Future[_Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            # The work ends by itself; the margin is for a thread that does not run any more.
            return future.result(within + _MARGIN_SECONDS)
        except FutureCancelled as error:
            raise ConnectionLost("the client was closed") from error
        except TimeoutError as error:
            raise ReplyTimeout("the client's thread does not answer") from error
        finally:
            future.cancel()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
