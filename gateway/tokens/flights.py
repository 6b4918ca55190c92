"""Tokens on their way: one fetch of each credential at a time, for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.errors import GatewayError

from .fetcher import Fetcher
from .memory import Memory
from .token import Credential, Token

Flight = asyncio.Task[Token | GatewayError]
"""A failure is its result, not raised: nobody may be left to take an exception."""


class Flights:
    """Starts fetches, and hands over what they bring."""

    def __init__(self, fetcher: Fetcher, memory: Memory, arrived: Callable[[Token], None]) -> None:
        self._fetcher = fetcher
        self._memory = memory
        self._arrived = arrived
        self._under_way: dict[bytes, Flight] = {}

    def __contains__(self, credential: Credential) -> bool:
        return credential.key in self._under_way

    def take(self, credential: Credential, than: Token | None) -> Flight:
        """The fetch under way, or a new one of a token newer *than* this."""
        flight = self._under_way.get(credential.key)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._fly(credential, than))
            self._under_way[credential.key] = flight
        return flight

    async def close(self) -> None:
        """Cancel what is under way."""
        flights = list(self._under_way.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights)

    async def _fly(self, credential: Credential, than: Token | None) -> Token | GatewayError:
        try:
            token = await self._fetcher.fetch(credential, than)
            if self._memory.has_rejected(token):
                # It was rejected while it was being fetched.
                token = await self._fetcher.fetch(credential, than)
        except GatewayError as error:
            return error
        else:
            if not self._memory.has_rejected(token):
                self._arrived(token)
            return token
        finally:
            del self._under_way[credential.key]
