"""The tokens of users: each grant is refreshed by one process at a time, and never forked.

A refresh token is good for one use. So the right to spend it is on disk before it is sent, the pair
that comes back is on disk before it is used, and a pair that cannot be written is held and tried
again: it is the only one. What is lost is the pair of a process that dies between Feishu's answer
and the first of the two copies; that user must authorize again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Self

import aiohttp
from redis.asyncio import Redis

from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.errors import GatewayError, NotNow
from gateway.metrics import Metrics
from schemas.reply import ErrorType

from .grant_refresh import GrantRefresh, Result
from .grant_rows import Grant
from .grant_store import LEASE_SECONDS, GrantStore
from .grant_verdict import no_grant, refusal_of, usable
from .oauth import OAuth, Version
from .sources import Issued
from .successors import Successors
from .token import Credential, Token

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0
_CLOSE_SECONDS = 4.0


class UserGrants:
    """The source of user tokens."""

    def __init__(
        self,
        store: GrantStore,
        oauth: OAuth,
        successors: Successors,
        metrics: Metrics,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """*lease_seconds* must be the store's; *draw* gives numbers in [0, 1) for jitter."""
        self._store = store
        self._refresh = GrantRefresh(
            *(store, oauth, successors, metrics),
            lease_seconds=lease_seconds,
            clock=clock,
            draw=draw,
        )
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._draw = draw
        self._turns: dict[bytes, asyncio.Task[Result]] = {}

    @classmethod
    def over(
        cls,
        session: aiohttp.ClientSession,
        redis: Redis,
        database: Database,
        keys: KeyRing,
        metrics: Metrics,
        version: Version,
    ) -> Self:
        """Make the source of one process, which whoever makes it closes after the pool."""
        oauth = OAuth(session, version)
        return cls(GrantStore(database, keys), oauth, Successors(redis, keys), metrics)

    async def issue(self, credential: Credential, than: Token | None) -> Issued:
        """Return the grant's access token, another one *than* that; refresh the grant if need be.

        Whoever finds it being refreshed waits for that, a lease's time at most. Raises Refused as
        `reauth_required` where only the user helps, NotNow without Postgres or a result in time,
        and else what `OAuth.refresh` does.
        """
        patience = self._clock() + self._lease_seconds + _PATIENCE_SECONDS
        while self._clock() < patience:
            turn = self._turns.get(credential.key)
            if turn is None:
                grant = await self._store.look(credential)
                if grant is None:
                    raise no_grant()
                if issued := usable(grant, than):
                    return issued
                if refusal := refusal_of(grant):
                    raise refusal
                if grant.leased <= 0:
                    turn = self._turn(credential, grant)
            if turn is not None and (result := await self._result(turn, patience)):
                return result
            await asyncio.sleep(_POLL_SECONDS * (0.5 + self._draw()))
        raise NotNow(
            ErrorType.STORE_UNAVAILABLE,
            "the user's grant is being refreshed and there is no result yet",
            retry_after=1.0,
        )

    async def close(self) -> None:
        """Give refreshes under way four seconds: what they bring exists nowhere else."""
        turns = list(self._turns.values())
        if turns:
            await asyncio.wait(turns, timeout=_CLOSE_SECONDS)
        for turn in turns:
            turn.cancel()
        if turns:
            await asyncio.wait(turns)

    def _turn(self, credential: Credential, grant: Grant) -> asyncio.Task[Result]:
        """Refresh in a task of its own, which outlives whoever wants its result."""
        turn = self._turns.get(credential.key)
        if turn is None:
            turn = asyncio.get_running_loop().create_task(self._refresh.refresh(credential, grant))
            self._turns[credential.key] = turn
            turn.add_done_callback(lambda _: self._turns.pop(credential.key))
        return turn

    async def _result(self, turn: asyncio.Task[Result], patience: float) -> Issued | None:
        await asyncio.wait([turn], timeout=patience - self._clock())
        result = turn.result() if turn.done() else None
        if isinstance(result, GatewayError):
            raise result
        return result
