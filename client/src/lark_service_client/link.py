"""The loop that keeps one session with the broker open."""

from __future__ import annotations

import asyncio
import random

from .errors import NotConnected
from .session import LoginRefused, Session

_OPEN_SECONDS = 5.0


def longest_delay(attempt: int) -> float:
    """Upper bound of the seconds before reconnect `attempt`, 0 for the first."""
    return min(5.0, 0.2 * 2.0 ** min(attempt, 10))


class Link:
    """Hands out the live session and replaces it when it ends.

    A refused login before the first connection ends the link; later it is tried again, because
    the operator may be changing the password.
    """

    def __init__(self, url: str, *, name: str, user: str | None) -> None:
        self._url = url
        self._name = name
        self._user = user
        self._session: Session | None = None
        self._failure: NotConnected | None = None
        self._connected_once = False
        self._over = True
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Calls of the live session whose reply has not come yet."""
        return self._session.waiting if self._session else 0

    @property
    def connected(self) -> bool:
        """Whether there is a live session."""
        return self._session is not None and self._session.alive

    async def open(self, timeout: float) -> None:
        """Connect for the first time. Raises NotConnected."""
        self._over, self._connected_once, self._failure = False, False, None
        self._task = asyncio.create_task(self._run(), name=f"{self._name} link")
        try:
            await self.session(timeout)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the session and the loop; calls that wait for either fail."""
        self._over = True
        self._changed.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def session(self, timeout: float) -> Session:
        """The live session, waited for if need be. Raises NotConnected."""
        if timeout <= 0:
            raise self._not_connected("no time was left to send the call")
        if (session := self._live()) is not None:
            return session
        try:
            async with asyncio.timeout(timeout):
                while (session := self._live()) is None:
                    self._changed.clear()
                    await self._changed.wait()
                return session
        except TimeoutError as error:
            message = f"no connection to the broker within {timeout:.3g} s"
            raise self._not_connected(message) from error

    def _live(self) -> Session | None:
        if self._over:
            raise self._not_connected("the client is not open")
        return self._session if self.connected else None

    def _not_connected(self, otherwise: str) -> NotConnected:
        return NotConnected(self._failure.message if self._failure else otherwise)

    async def _run(self) -> None:
        attempt = 0
        while not self._over:
            try:
                if await self._hold_session():
                    attempt = 0
            except NotConnected as error:
                self._failure = error
                if isinstance(error, LoginRefused) and not self._connected_once:
                    self._over = True
                    self._changed.set()
                    return
            # Full jitter: many clients that lost one broker must not come back together.
            await asyncio.sleep(random.uniform(0, longest_delay(attempt)))  # noqa: S311  no secret
            attempt += 1

    async def _hold_session(self) -> bool:
        """Open a session and wait for its end; whether it was of any use."""
        session = await Session.open(
            self._url, name=self._name, user=self._user, timeout=_OPEN_SECONDS
        )
        self._session, self._failure, self._connected_once = session, None, True
        self._changed.set()
        try:
            await session.ended()
        finally:
            self._session = None
            await session.close()
        return session.proven
