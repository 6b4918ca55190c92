"""Puts the token pool together: every kind of token, from memory to Feishu."""

from __future__ import annotations

import aiohttp
from redis.asyncio import Redis

from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.metrics import Metrics

from .endpoint import TokenEndpoint
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
    endpoint = TokenEndpoint(session)
    tickets = AppTickets(database, keys)
    # The pool is a source's client and has the source as its own: it is known by the first call.
    store = StoreApps(endpoint, tickets, Resends(endpoint, redis), lambda: pool)
    pool = TokenPool(
        Sources(Issuer(session), store, users),
        RedisTokens(redis, keys),
        PostgresTokens(database, keys),
        metrics,
    )
    return pool
