"""Tokens in Postgres, sealed, for keeps; and turns to ask Feishu while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.errors import GatewayError

from . import statements
from .sealing import Clock, Sealer, read_failure, write_failure
from .stores import LOCK_SECONDS, Bound, Found, StoreAway
from .together import Together
from .token import Credential, Token

POSTGRES_SECONDS = 1.0
_READS_AT_ONCE, _WRITES_AT_ONCE = 2, 2
"""One connection fewer than the pool has, so that a crowd of tokens leaves one to the others.

Apart, since writes may wait for a lock that somebody holds, which reads never do."""

T = TypeVar("T")

Drop = tuple[bytes, datetime]
"""The fingerprint of a token, or the key of a credential, and when it was dropped."""


class PostgresTokens:
    """The durable copy; every method raises StoreAway after a second."""

    def __init__(self, database: Database, keys: KeyRing, *, clock: Clock = time.monotonic) -> None:
        self._database = database
        self._sealer = Sealer("postgres", keys, clock)
        self._reads = Bound(POSTGRES_SECONDS, _READS_AT_ONCE)
        self._writes = Bound(POSTGRES_SECONDS, _WRITES_AT_ONCE)
        self._rows = Together(self._ask)

    async def look(self, credential: Credential) -> Found:
        """Read the token, and the failure that was met while Redis was away."""
        row = await self._rows.get(credential.key)
        if row is None:
            return Found()
        token = None
        if row["sealed"] is not None:
            issued_at, expires_at = row["asked_at"] - row["age"], row["asked_at"] + row["remaining"]
            token = self._sealer.open(credential, row["sealed"], issued_at, expires_at)
        seconds = row["failure_remaining"]
        if row["failure"] is None or seconds <= 0:
            return Found(token)
        return Found(token, read_failure(row["failure"], seconds), seconds)

    async def put(self, token: Token) -> None:
        """Keep a token unless a newer one is there."""
        credential = token.credential

        async def write() -> None:
            now = self._sealer.clock()
            await self._database.execute(
                statements.PUT,
                credential.key,
                credential.app.app_id,
                credential.holder.kind,
                token.fingerprint,
                self._sealer.seal(token),
                now - token.issued_at,
                token.expires_at - now,
            )

        await _stored(self._writes, write)

    async def drop(self, token: Token) -> None:
        """Delete the token if it is still exactly this one, and let all processes forget it."""
        await self._execute(statements.DROP, token.credential.key, token.fingerprint)

    async def dropped(self, seconds: float) -> frozenset[Drop]:
        """What was dropped in the last so many seconds, and when; the same may be dropped twice."""
        rows = await _stored(self._reads, lambda: self._database.fetch(statements.DROPPED, seconds))
        return frozenset((row["fingerprint"], row["dropped_at"]) for row in rows)

    async def lock(self, credential: Credential, owner: str) -> bool:
        """Take the turn to ask for ten seconds; False while another has it, or just failed."""
        return bool(await self._execute(statements.LOCK, credential.key, owner, LOCK_SECONDS))

    async def unlock(self, credential: Credential, owner: str) -> None:
        """Give the turn back if *owner* still has it; a failure stays."""
        await self._execute(statements.UNLOCK, credential.key, owner)

    async def share_failure(
        self, credential: Credential, error: GatewayError, seconds: float
    ) -> None:
        """Let the other processes answer with this error too, instead of asking Feishu again."""
        failure = write_failure(error)
        await self._execute(statements.SHARE_FAILURE, credential.key, failure, seconds)

    async def prune(self) -> int:
        """Delete some of what ended an hour ago, and return how many tokens that were."""
        await self._execute(statements.PRUNE_LEASES)
        await self._execute(statements.PRUNE_DROPS)
        return await self._execute(statements.PRUNE_TOKENS)

    async def _ask(self, keys: Sequence[bytes]) -> Mapping[bytes, Mapping[str, Any]]:
        async def read() -> Mapping[bytes, Mapping[str, Any]]:
            asked_at = self._sealer.clock()
            rows = await self._database.fetch(statements.LOOK, keys)
            return {row["credential"]: {**row, "asked_at": asked_at} for row in rows}

        return await _stored(self._reads, read)

    async def _execute(self, sql: str, *arguments: Any) -> int:
        return await _stored(self._writes, lambda: self._database.execute(sql, *arguments))


async def _stored(bound: Bound, statement: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        return await bound.run(statement)
    except GatewayError as error:
        raise StoreAway(error.message) from error
