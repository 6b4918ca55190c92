"""Outcome records in Postgres, which forgets nothing: several calls share one statement."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from gateway.database import Database
from gateway.errors import GatewayError

from . import statements
from .decision import Found, State
from .protocol import Question, Recorded
from .store import KEEP_SECONDS, LEASE_SECONDS, NOBODY, Begun, StoreAway, Written
from .together import Asked, Together
from .values import packed, unpack

_PURGED_AT_ONCE = 1000
_REST_SECONDS = 1.0
_AT_ONCE = 3
"""Connections that all statements here may use, which leaves two of the pool to the others."""

T = TypeVar("T")


class PostgresRecords:
    """Records in Postgres; every method raises StoreAway within *timeout* seconds."""

    def __init__(self, database: Database, owner: str, *, timeout: float = 0.5) -> None:
        self.owner = owner
        self._database = database
        self._timeout = timeout
        self._resting_until = 0.0
        self._renewed_at: float | None = None
        places = asyncio.Semaphore(_AT_ONCE)
        self._looks = Together(self._look_all, places)
        self._claims = Together(self._claim_all, places)
        self._begins = Together(self._begin_all, places)
        self._ends = Together(self._complete_all, places)
        self._memories = Together(self._remember_all, places)
        self._lapses = Together(self._forget_all, places)

    @property
    def is_away(self) -> bool:
        """Never: after a second of rest Postgres is simply asked again."""
        return False

    async def claim(self, question: Question, *, doubtful: bool) -> Written:
        """Write a claim where there is no row."""
        await self._be_known()
        state, owner = self._new(doubtful=doubtful)
        asked = Asked(question, (state.value, owner))
        while True:
            if await self._bounded(self._claims.ask(asked)):
                return Written(None, "")
            found = await self.look(question)
            # Else the row that was in the way is gone meanwhile.
            if found is not None:
                return Written(found, "")

    async def look(self, question: Question) -> Found | None:
        """Read a row."""
        return await self._bounded(self._looks.ask(Asked(question)))

    async def take_over(self, question: Question, found: Found, *, doubtful: bool) -> str | None:
        """Write a claim in the place of exactly what was found."""
        state, owner = self._new(doubtful=doubtful)
        seen = (found.state.value, *found.stamp)
        statement = self._database.execute(
            *(statements.TAKE_OVER, question.alias, question.call_id),
            *(*seen, state.value, owner),
        )
        return "" if await self._bounded(statement) else None

    async def begin(self, question: Question, epoch: str, *, careful: bool) -> Begun:
        """Mark a claim as started, or write that it is."""
        await self._be_known()
        marked = await self._bounded(self._begins.ask(Asked(question)))
        return Begun.MARKED if marked else Begun.TAKEN

    async def complete(self, question: Question, recorded: Recorded) -> Recorded:
        """Record how the call ended, unless an end is recorded."""
        if await self._bounded(self._ends.ask(Asked(question, (await packed(recorded),)))):
            return recorded
        stands = await self.look(question)
        if stands is None or stands.fingerprint != question.fingerprint:
            return recorded
        return stands.recorded or recorded

    async def hand_back(self, question: Question, *, remember: bool, keeps_age: bool) -> None:
        """Delete a claim, or leave the content alone."""
        together = self._memories if remember else self._lapses
        await self._bounded(together.ask(Asked(question, (keeps_age,))))

    async def beat(self) -> bool:
        """Renew this process's lease."""
        sent = time.monotonic()
        await self._bounded(
            self._database.execute(statements.BEAT, self.owner, LEASE_SECONDS), probes=True
        )
        self._renewed_at = sent
        return False

    async def leave(self) -> None:
        """End this process's lease, and clear away those that ended by themselves."""
        if self._renewed_at is not None:
            await self._bounded(self._database.execute(statements.LEAVE, self.owner))

    async def purge(self) -> int:
        """Delete some rows that nobody needs any more; how many."""
        statement = self._database.execute(statements.PURGE, KEEP_SECONDS, _PURGED_AT_ONCE)
        return await self._bounded(statement)

    def may_have_lapsed(self, since: float) -> bool:
        """Postgres forgets nothing: whoever took a claim over is found in its row."""
        return False

    async def _be_known(self) -> None:
        """Have a lease that holds for another second, without which a claim would be free."""
        renewed = self._renewed_at
        if renewed is None or time.monotonic() - renewed > LEASE_SECONDS - 1:
            await self.beat()

    def _new(self, *, doubtful: bool) -> tuple[State, str]:
        return (State.STARTED, NOBODY) if doubtful else (State.CLAIMED, self.owner)

    async def _look_all(self, asked: Sequence[Asked]) -> list[Found | None]:
        aliases, ids, _ = _columns(asked)
        rows = await self._database.fetch(statements.LOOK, aliases, ids)
        found = {row["place"]: _found(row) for row in rows}
        return [found.get(place) for place in range(len(asked))]

    async def _claim_all(self, asked: Sequence[Asked]) -> list[bool]:
        states, owners = zip(*(one.more for one in asked), strict=True)
        return await self._done(statements.CLAIM, asked, list(states), list(owners))

    async def _begin_all(self, asked: Sequence[Asked]) -> list[bool]:
        return await self._done(statements.BEGIN, asked, self.owner)

    async def _complete_all(self, asked: Sequence[Asked]) -> list[bool]:
        values = [one.more[0] for one in asked]
        return await self._done(statements.COMPLETE, asked, values, self.owner)

    async def _remember_all(self, asked: Sequence[Asked]) -> list[None]:
        for keeps in (False, True):
            some = [one for one in asked if one.more[0] is keeps]
            if some:
                columns = _columns(some)
                await self._database.execute(statements.REMEMBER, *columns, self.owner, keeps)
        return [None] * len(asked)

    async def _forget_all(self, asked: Sequence[Asked]) -> list[None]:
        await self._database.execute(statements.FORGET, *_columns(asked), self.owner)
        return [None] * len(asked)

    async def _done(self, sql: str, asked: Sequence[Asked], *more: Any) -> list[bool]:
        rows = await self._database.fetch(sql, *_columns(asked), *more)
        done = {(row["alias"], row["call_id"]) for row in rows}
        return [one.key in done for one in asked]

    async def _bounded(self, statement: Coroutine[Any, Any, T], *, probes: bool = False) -> T:
        if time.monotonic() < self._resting_until and not probes:
            statement.close()
            raise StoreAway("Postgres did not answer a moment ago", unsent=True)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await statement
        except TimeoutError as error:
            self._resting_until = time.monotonic() + _REST_SECONDS
            raise StoreAway("Postgres does not answer in time") from error
        except GatewayError as error:
            self._resting_until = time.monotonic() + _REST_SECONDS
            raise StoreAway(error.message) from error
        if probes:
            self._resting_until = 0.0
        return answer


def _columns(asked: Sequence[Asked]) -> tuple[list[str], list[str], list[bytes]]:
    questions = [one.question for one in asked]
    return (
        [question.alias for question in questions],
        [question.call_id for question in questions],
        [question.fingerprint for question in questions],
    )


def _found(row: Any) -> Found:
    return Found(
        state=State(row["state"]),
        fingerprint=row["fingerprint"],
        owner=row["owner"],
        owner_lives=row["lives"],
        is_current=True,
        age=row["age"],
        stamp=(row["owner"], row["changed_at"]),
        recorded=unpack(row["recorded"]) if row["recorded"] is not None else None,
    )
