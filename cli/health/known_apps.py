"""The aliases that have queues, as far as they can be known."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.apps import DEFAULT_ALIAS
from gateway.database import Database
from gateway.errors import GatewayError

_SECONDS: Final = 1.0
_ALIASES: Final = """
SELECT alias FROM apps WHERE status <> 'removed'
UNION SELECT alias FROM pools WHERE NOT removed ORDER BY alias
"""


async def known_aliases(database: Database) -> list[str]:
    """All apps and pools; only the environment's app where Postgres does not say in a second."""
    stored: list[str] = []
    try:
        async with asyncio.timeout(_SECONDS):
            stored = [row["alias"] for row in await database.fetch(_ALIASES)]
    except (GatewayError, TimeoutError):
        # Postgres has a check of its own.
        pass
    return [DEFAULT_ALIAS, *stored]
