"""The table of dead letters, as an operator's tools read it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import asyncpg
import pytest

COLUMNS = [
    *("id", "call_id", "app", "reason", "error", "body", "headers", "properties", "routing_key"),
    *("attempts", "first_seen", "dead_at", "state"),
]


class Rows:
    """Reads the rows of dead letters that share a correlation id."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def of(self, correlation_id: str, count: int = 1, within: float = 5) -> list[Any]:
        """Wait for so many rows, with their JSON parsed."""
        deadline = time.monotonic() + within
        query = f"SELECT {', '.join(COLUMNS)} FROM dead_letters WHERE properties->>$1 = $2"  # noqa: S608
        connection = await asyncpg.connect(self._url)
        try:
            while True:
                rows = await connection.fetch(query, "correlation_id", correlation_id)
                if len(rows) >= count:
                    return [_parsed(row) for row in rows]
                assert time.monotonic() < deadline, f"{len(rows)} rows of {count}"
                await asyncio.sleep(0.02)
        finally:
            await connection.close()


def _parsed(row: asyncpg.Record) -> dict[str, Any]:
    parsed = dict(row)
    for column in ("error", "headers", "properties"):
        parsed[column] = json.loads(parsed[column])
    return parsed


@pytest.fixture(scope="module")
def rows(database_url: str) -> Rows:
    """The dead letters of this test module's gateway."""
    return Rows(database_url)
