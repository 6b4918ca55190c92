"""A database that has its tables."""

from __future__ import annotations

import pytest

from gateway.database import Database


@pytest.fixture(scope="module")
async def migrated_url(database_url: str) -> str:
    database = Database(database_url)
    await database.migrate()
    await database.close()
    return database_url
