"""Processes that share the grants of users, and one user."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.metrics import Metrics
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grants import UserGrants
from gateway.tokens.oauth import OAuth
from gateway.tokens.successors import Successors
from tests.integration.gateway.tokens.conftest import KEYS, Simulated, opened
from tests.integration.gateway.tokens.grants.support import (
    LEASE_SECONDS,
    Process,
    StartProcess,
    User,
)
from tests.support.proxy import Proxy, proxied


@pytest.fixture
async def start(redis_url: str, migrated_url: str) -> AsyncIterator[StartProcess]:
    """Starts processes, by default on the shared Redis and Postgres."""
    async with AsyncExitStack() as stack:

        async def begin(
            *,
            redis: str = redis_url,
            postgres: str = migrated_url,
            keys: KeyRing = KEYS,
            lease_seconds: float = LEASE_SECONDS,
            budget: float = 1.0,
        ) -> Process:
            open_ = await opened(stack, redis, postgres, awake=redis == redis_url)
            store = GrantStore(open_.database, keys, lease_seconds=lease_seconds)
            successors = Successors(open_.redis, keys)
            grants = UserGrants(
                store,
                OAuth(open_.session, budget=budget),
                successors,
                Metrics(),
                lease_seconds=lease_seconds,
            )
            stack.push_async_callback(grants.close)
            return Process(grants, store, successors, open_.database)

        yield begin


@pytest.fixture
async def user(feishu: Simulated, migrated_url: str) -> AsyncIterator[User]:
    database = Database(migrated_url)
    yield User(feishu, database, f"ou_{secrets.token_hex(8)}")
    await database.close()


@pytest.fixture
async def away(migrated_url: str) -> AsyncIterator[Proxy]:
    """Stands between a process and Postgres."""
    parts = urlsplit(migrated_url)
    async with proxied(parts.hostname or "", parts.port or 5432) as proxy:
        yield proxy
