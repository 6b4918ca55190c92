"""The Redis client of the gateway: quick to fail, and never trying again by itself."""

from __future__ import annotations

from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_CONNECT_SECONDS = 0.5
_POOL_SECONDS = 1.0
_CONNECTIONS = 64

AWAY: Final = (RedisError, OSError, TimeoutError)
"""What a command with a time limit raises while Redis is away, or says no."""


def connect(url: str) -> Redis:
    """A client that connects on its first command; answers are bytes.

    Who sends a command gives it a time limit, with `asyncio.timeout`: there is none here. The
    library's own sends through `asyncio.wait_for`, which until Python 3.12 loses a cancel that
    comes at the moment of success, so that a task told to stop lives on.

    A command sent again by the library could take a permit or a lock twice, and ten tries of its
    default hold a call for seconds. A caller that wants another try makes it. RESP 2 saves two
    round trips at every new connection.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_POOL_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=None,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        protocol=2,
        driver_info=None,
        decode_responses=False,
    )
    return Redis.from_pool(pool)
