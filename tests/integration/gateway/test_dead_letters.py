from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest

from gateway.database import Database, StatementRefused
from gateway.dead_letters import DeadLetterRow, insert_dead_letter

ROW = DeadLetterRow(
    id=uuid4(),
    call_id="order-4711",
    app="default",
    reason="failed",
    error={"type": "feishu_error", "message": "no such chat", "code": 230002},
    body=b'{"method": "POST"}',
    headers={"lark-attempts": 3, "traceparent": "00-ab"},
    properties={"message_id": "order-4711"},
    routing_key="default.bulk",
    attempts=3,
    first_seen=datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
)


@pytest.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.migrate()
    yield database
    await database.close()


async def stored(database: Database, row: DeadLetterRow) -> dict[str, Any]:
    record = await database.fetchrow("SELECT * FROM dead_letters WHERE id = $1", row.id)
    assert record is not None
    fields = dict(record)
    for name in ("error", "headers", "properties"):
        fields[name] = orjson.loads(fields[name])
    return fields


async def test_a_dead_letter_is_kept_as_it_is(database: Database) -> None:
    assert await insert_dead_letter(database, ROW)
    fields = await stored(database, ROW)
    assert abs((datetime.now(UTC) - fields.pop("dead_at")).total_seconds()) < 60
    assert fields.pop("state") == "open"
    assert fields == {name: getattr(ROW, name) for name in ROW.__slots__}


async def test_a_message_that_comes_again_is_stored_once(database: Database) -> None:
    row = replace(ROW, id=uuid4())
    assert await insert_dead_letter(database, row)
    assert not await insert_dead_letter(database, replace(row, reason="expired"))
    assert (await stored(database, row))["reason"] == "failed"


async def test_no_message_is_too_odd_to_be_kept(database: Database) -> None:
    row = replace(
        ROW,
        id=uuid4(),
        call_id=None,
        app=None,
        first_seen=None,
        attempts=2**40,
        body=b"\x00\xff",
        routing_key="a\x00b\ud800",
        error={"message": "a\x00b\ud800", "cause": {"deep": ["\x00"]}},
        headers={"b\x00": b"\xff\x00", "at": datetime(2026, 1, 1, tzinfo=UTC), "n": 2**70},
    )
    assert await insert_dead_letter(database, row)
    fields = await stored(database, row)
    assert fields["body"] == b"\x00\xff"
    assert fields["routing_key"] == "a\ufffdb\ufffd"
    assert fields["error"] == {"message": "a\ufffdb\ufffd", "cause": {"deep": ["\ufffd"]}}
    assert fields["headers"]["b\ufffd"] == "\ufffd\ufffd"
    assert fields["headers"]["n"] == str(2**70)
    assert fields["attempts"] == 2**31 - 1


async def test_the_largest_body_is_kept(database: Database) -> None:
    row = replace(ROW, id=uuid4(), body=b"x" * 16 * 1024 * 1024)
    assert await insert_dead_letter(database, row)


async def test_a_state_outside_the_list_is_refused(database: Database) -> None:
    with pytest.raises(StatementRefused):
        await database.execute("UPDATE dead_letters SET state = 'lost'")


@pytest.mark.parametrize(
    ("listing", "index"),
    [
        ("SELECT id FROM dead_letters ORDER BY dead_at DESC, id LIMIT 9", "dead_at"),
        (
            "SELECT id FROM dead_letters WHERE reason = 'failed' ORDER BY dead_at DESC, id LIMIT 9",
            "reason",
        ),
        (
            "SELECT id FROM dead_letters WHERE app = 'default' ORDER BY dead_at DESC, id LIMIT 9",
            "app",
        ),
        ("SELECT id FROM dead_letters WHERE call_id = 'order-4711'", "call_id"),
    ],
)
async def test_listings_use_an_index(database: Database, listing: str, index: str) -> None:
    await database.execute(
        "INSERT INTO dead_letters (id, call_id, app, reason, error, body, headers, properties,"
        " routing_key, attempts) SELECT gen_random_uuid(), 'c' || n, 'a' || n % 50, 'r' || n % 9,"
        " '{}', '', '{}', '{}', '', 0 FROM generate_series(1, 2000) n"
    )
    await database.execute("ANALYZE dead_letters")
    plan = await database.fetch(f"EXPLAIN {listing}")
    assert f"dead_letters_{index}" in " ".join(row[0] for row in plan)
