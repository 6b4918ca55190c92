"""Postgres for one command; what goes wrong becomes a sentence and an exit code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.database import Database, DatabaseUnavailable, StatementRefused
from gateway.settings import Settings

from .exits import CANNOT_REACH, FAILED, CommandFailed

POSTGRES: Final = frozenset(
    {
        "DATABASE_URL",
        *("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"),
    }
)
"""The settings that say where Postgres is."""


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """A connection that is made when it is first used; what Postgres refuses is CommandFailed."""
    database = Database(settings.database_url.get_secret_value(), max_size=1)
    try:
        yield database
    except DatabaseUnavailable as error:
        raise CommandFailed(CANNOT_REACH, f"{error.message}. Is DATABASE_URL right?") from error
    except StatementRefused as error:
        raise CommandFailed(FAILED, f"{error.message}. Is the schema another's?") from error
    finally:
        await database.close()
