"""Puts the token pool together: every kind of token, from memory to Feishu."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from redis.asyncio import Redis

from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.metrics import Metrics

from .endpoint import TokenEndpoint
from .forced import ForcedRenewals
from .issuer import Issuer
from .pool import TokenPool
from .postgres_tokens import PostgresTokens
from .redis_tokens import RedisTokens
from .resends import Resends
from .sources import Sources, TokenSource
from .store_apps import StoreApps
from .tickets import AppTickets


def build_token_pool(
    session: aiohttp.ClientSession,
    redis: Redis,
    database: Database,
    keys: KeyRing,
    metrics: Metrics,
    *,
    users: TokenSource | None = None,
) -> TokenPool:
    """Make the pool of one process; whoever makes it closes it."""
    # The pool is a source's client and has the source as its own: it is known by the first call.
    source = _sources(session, redis, database, keys, lambda: pool, users)
    pool = TokenPool(source, RedisTokens(redis, keys), PostgresTokens(database, keys), metrics)
    return pool


def build_forced_renewals(
    session: aiohttp.ClientSession,
    redis: Redis,
    database: Database,
    keys: KeyRing,
    pool: TokenPool,
    *,
    users: TokenSource | None = None,
) -> ForcedRenewals:
    """Make what renews at an operator's word; *pool* has the tokens that others are asked with."""
    return ForcedRenewals(
        _sources(session, redis, database, keys, lambda: pool, users),
        redis,
        RedisTokens(redis, keys),
        PostgresTokens(database, keys),
    )


def _sources(
    session: aiohttp.ClientSession,
    redis: Redis,
    database: Database,
    keys: KeyRing,
    tokens: Callable[[], TokenPool],
    users: TokenSource | None,
) -> Sources:
    endpoint = TokenEndpoint(session)
    store = StoreApps(endpoint, AppTickets(database, keys), Resends(endpoint, redis), tokens)
    return Sources(Issuer(session), store, users)
