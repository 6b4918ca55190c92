"""One process that refreshes one grant and stands still at a step, to be killed there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from redis.asyncio import Redis

from cli.quiet import be_quiet
from gateway import redis_client
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.feishu import open_session
from gateway.metrics import Metrics
from gateway.tokens.grant_rows import Grant
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grants import UserGrants
from gateway.tokens.oauth import OAuth, Pair
from gateway.tokens.successors import Successors
from gateway.tokens.token import Credential, Holder

BEFORE_LEASE = "before the lease"
LEASED = "lease on disk, nothing sent"
ANSWERED = "answer here, nothing written"
IN_REDIS = "written to Redis only"
WRITTEN = "written to both"
LEASE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process finds its servers; all of it can be sent to a child."""

    database_url: str
    redis_url: str
    key: str


class Halt:
    """Says where it stands, and goes no further."""

    def __init__(self, step: str, told: Connection) -> None:
        self._step = step
        self._told = told

    async def at(self, step: str) -> None:
        if step == self._step:
            self._told.send(step)
            await asyncio.Event().wait()


class _Store(GrantStore):
    def __init__(self, database: Database, keys: KeyRing, halt: Halt) -> None:
        super().__init__(database, keys, lease_seconds=LEASE_SECONDS)
        self._halt = halt
        self.in_redis = asyncio.Event()

    async def lease(self, credential: Credential, grant: Grant) -> int | None:
        await self._halt.at(BEFORE_LEASE)
        fence = await super().lease(credential, grant)
        await self._halt.at(LEASED)
        return fence

    async def save(self, credential: Credential, spent: bytes, pair: Pair, waited: float) -> bool:
        await self._halt.at(ANSWERED)
        await self.in_redis.wait()
        await self._halt.at(IN_REDIS)
        saved = await super().save(credential, spent, pair, waited)
        await self._halt.at(WRITTEN)
        return saved


class _Successors(Successors):
    def __init__(self, redis: Redis, keys: KeyRing, halt: Halt, store: _Store) -> None:
        super().__init__(redis, keys)
        self._halt = halt
        self._store = store

    async def keep(self, credential: Credential, spent: bytes, pair: Pair) -> None:
        await self._halt.at(ANSWERED)
        await super().keep(credential, spent, pair)
        self._store.in_redis.set()


@asynccontextmanager
async def open_grants(place: Place, halt: Halt | None = None) -> AsyncIterator[UserGrants]:
    """The source of user tokens as a gateway has it, with a shorter lease."""
    keys = KeyRing.from_text(place.key)
    async with AsyncExitStack() as stack:
        database = Database(place.database_url)
        stack.push_async_callback(database.close)
        redis = redis_client.connect(place.redis_url)
        stack.push_async_callback(redis.aclose)
        await redis.ping()
        oauth = OAuth(await stack.enter_async_context(open_session()))
        store = GrantStore(database, keys, lease_seconds=LEASE_SECONDS)
        successors = Successors(redis, keys)
        if halt is not None:
            store = _Store(database, keys, halt)
            successors = _Successors(redis, keys, halt, store)
        parts = (store, oauth, successors, Metrics())
        grants = UserGrants(*parts, lease_seconds=LEASE_SECONDS)
        stack.push_async_callback(grants.close)
        yield grants


def refresh(place: Place, app: App, user: str, step: str, told: Connection) -> None:
    """Refresh the grant, up to this step; the body of a child process."""
    be_quiet()
    asyncio.run(_refresh(place, app, user, Halt(step, told)))


async def _refresh(place: Place, app: App, user: str, halt: Halt) -> None:
    async with open_grants(place, halt) as grants:
        await grants.issue(Credential.of(app, Holder("user", user)), None)
