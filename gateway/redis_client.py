"""The Redis client of the gateway: quick to fail, and never trying again by itself."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_CONNECT_SECONDS = 0.5
_REPLY_SECONDS = 1.0
_CONNECTIONS = 64


def connect(url: str) -> Redis:
    """A client that connects on its first command; answers are bytes.

    A command sent again by the library could take a permit or a lock twice, and ten tries of its
    default hold a call for seconds. A caller that wants another try makes it. RESP 2 saves two
    round trips at every new connection.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_REPLY_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_REPLY_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        protocol=2,
        driver_info=None,
        decode_responses=False,
    )
    return Redis.from_pool(pool)
