from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.database import Database, DatabaseUnavailable, StatementRefused
from gateway.migrations import SchemaMismatch, known
from sandbox.stack import Stack
from schemas.reply import ErrorType
from tests.support.proxy import proxied
from tests.support.waiting import eventually


@pytest.fixture
def retries() -> list[str]:
    """Why statements of `database` were sent again."""
    return []


@pytest.fixture
async def database(database_url: str, retries: list[str]) -> AsyncIterator[Database]:
    database = Database(database_url, retried=retries.append)
    yield database
    await database.close()


@pytest.fixture
async def raw(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


async def test_nothing_is_contacted_before_the_first_statement() -> None:
    database = Database("postgresql://lark:pass-word@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/?.* not to be had") as caught:
        await database.ping()
    assert caught.value.type is ErrorType.STORE_UNAVAILABLE
    assert "pass-word" not in f"{caught.value} {caught.value.__cause__!r}"
    await database.close()


async def test_a_wrong_password_is_no_crash_and_no_leak(database_url: str) -> None:
    wrong = database_url.replace(urlsplit(database_url).password or "", "pass-word")
    database = Database(wrong)
    with pytest.raises(DatabaseUnavailable, match="InvalidPasswordError") as caught:
        await database.ping()
    assert "pass-word" not in str(caught.value)
    await database.close()


async def test_processes_that_start_together_migrate_once(
    database_url: str, raw: asyncpg.Connection
) -> None:
    databases = [Database(database_url) for _ in range(4)]
    steps = await asyncio.gather(*(database.migrate() for database in databases))
    assert sorted(map(len, steps)) == [0, 0, 0, len(known())]
    names = await raw.fetch("SELECT name FROM schema_migrations ORDER BY version")
    assert [row["name"] for row in names] == [step.name for step in known()]
    for database in databases:
        await database.close()


async def test_a_newer_schema_is_refused(database: Database, raw: asyncpg.Connection) -> None:
    await database.migrate()
    await raw.execute("INSERT INTO schema_migrations VALUES (9000, '9000_later', '', now())")
    with pytest.raises(SchemaMismatch, match="9000_later"):
        await database.migrate()


async def test_a_table_of_somebody_else_stops_the_migration_and_leaves_nothing(
    database: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE TABLE dead_letters (mine text)")
    with pytest.raises(SchemaMismatch, match="dead_letters"):
        await database.migrate()
    assert await raw.fetchval("SELECT to_regclass('tokens')") is None
    assert await raw.fetchval("SELECT to_regclass('schema_migrations')") is None


async def test_a_role_without_the_right_to_create_may_use_a_schema_made_for_it(
    database: Database, raw: asyncpg.Connection, database_url: str
) -> None:
    await database.migrate()
    await raw.execute("DROP ROLE IF EXISTS modest")
    await raw.execute("CREATE ROLE modest LOGIN PASSWORD 'modest'")
    await raw.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    await raw.execute("GRANT USAGE ON SCHEMA public TO modest")
    await raw.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO modest")
    parts = urlsplit(database_url)
    modest = Database(f"postgresql://modest:modest@{parts.hostname}:{parts.port}{parts.path}")
    assert await modest.migrate() == []
    await modest.close()
    await raw.execute("DROP OWNED BY modest; DROP ROLE modest")


async def test_a_deadlock_is_tried_again_and_told(
    database: Database, raw: asyncpg.Connection, retries: list[str]
) -> None:
    await raw.execute("CREATE TABLE pair (id int PRIMARY KEY, n int NOT NULL)")
    await raw.execute("INSERT INTO pair VALUES (1, 0), (2, 0)")
    await raw.execute("SET deadlock_timeout = '10s'")
    # The statement under test is the one that Postgres finds deadlocked: its patience is shorter.
    await raw.execute("ALTER ROLE CURRENT_USER SET deadlock_timeout = '20ms'")
    try:
        async with raw.transaction():
            await raw.execute("UPDATE pair SET n = n + 1 WHERE id = 2")
            both = asyncio.create_task(
                database.execute(
                    "WITH one AS (UPDATE pair SET n = n + 10 WHERE id = 1 RETURNING id)"
                    " UPDATE pair SET n = n + 10 WHERE id = 1 + (SELECT count(*) FROM one)"
                )
            )
            await eventually_waits(raw)
            await raw.execute("UPDATE pair SET n = n + 1 WHERE id = 1")
        assert await both == 1
    finally:
        await raw.execute("ALTER ROLE CURRENT_USER RESET deadlock_timeout")
    assert [row["n"] for row in await raw.fetch("SELECT n FROM pair ORDER BY id")] == [11, 11]
    assert retries == ["deadlock"]


async def test_a_wait_for_a_lock_that_is_too_long_is_tried_again_and_told(
    database: Database, raw: asyncpg.Connection, retries: list[str]
) -> None:
    await raw.execute("CREATE TABLE locked (id int PRIMARY KEY, n int NOT NULL)")
    await raw.execute("INSERT INTO locked VALUES (1, 0)")
    async with raw.transaction():
        await raw.execute("UPDATE locked SET n = 1")
        waiting = asyncio.create_task(database.execute("UPDATE locked SET n = n + 10"))
        await eventually(lambda: bool(retries))
    assert await waiting == 1
    assert set(retries) == {"lock_timeout"}
    assert await raw.fetchval("SELECT n FROM locked") == 11


async def eventually_waits(raw: asyncpg.Connection) -> None:
    for _ in range(2000):
        if await raw.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            return
        await asyncio.sleep(0.001)
    pytest.fail("no statement waits for a lock")


async def test_killed_connections_are_replaced(database: Database, raw: asyncpg.Connection) -> None:
    for round_ in range(100):
        under_way = [asyncio.create_task(database.fetch("SELECT pg_sleep(0.01)")) for _ in range(5)]
        # Each round hits the statements at another moment of their lives.
        await asyncio.sleep(round_ % 14 / 1000)
        await raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'lark-service' AND datname = current_database()"
        )
        await asyncio.gather(*under_way)


async def test_a_server_that_takes_no_writes_is_unavailable(
    database: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE SEQUENCE steps")
    with pytest.raises(DatabaseUnavailable, match="ReadOnlySQLTransactionError"):
        await database.fetch(
            "SELECT set_config('transaction_read_only', 'on', true), nextval('steps')"
        )


async def test_a_refused_statement_shows_no_values(
    database: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE TABLE narrow (secret text CHECK (length(secret) < 3))")
    with pytest.raises(StatementRefused, match="23514") as caught:
        await database.execute("INSERT INTO narrow VALUES ($1)", "t-secret-token")
    assert "t-secret-token" not in f"{caught.value!r} {caught.value.__cause__!r}"
    with pytest.raises(StatementRefused, match="22P02") as caught:
        await database.fetch("SELECT ($1::text)::int", "t-secret-token")
    assert "t-secret-token" not in str(caught.value)


async def test_statements_end_within_their_time(database: Database) -> None:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="QueryCanceledError"):
        await database.fetch("SELECT pg_sleep(30)")
    assert 1.9 < time.monotonic() - started < 2.6


async def test_a_full_pool_is_waited_for_a_second(database_url: str) -> None:
    database = Database(database_url, max_size=1)
    busy = asyncio.create_task(database.fetch("SELECT pg_sleep(1.7)"))
    await asyncio.sleep(0.2)
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="TimeoutError"):
        await database.ping()
    assert 0.9 < time.monotonic() - started < 1.4
    await busy
    await database.close()


async def test_a_server_that_swallows_packets_costs_one_wait_and_not_one_each(
    database_url: str,
) -> None:
    parts = urlsplit(database_url)
    async with proxied(parts.hostname or "", parts.port or 0) as proxy:
        proxy.hold()
        database = Database(database_url.replace(f":{parts.port}", f":{proxy.port}"))
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await database.ping()
        assert time.monotonic() - started < 3.6
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="a moment ago"):
            await database.ping()
        assert time.monotonic() - started < 0.1
        proxy.release()
        await answers_again(database, within=3)
        await database.close()


async def test_it_works_again_by_itself_when_postgres_is_back(
    idle_stack: Stack, database_url: str
) -> None:
    if idle_stack.is_given("postgres"):
        pytest.skip("this Postgres is somebody's: it is not ours to stop")
    database = Database(database_url)
    await database.ping()
    await asyncio.to_thread(idle_stack.postgres.stop)
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    await asyncio.to_thread(idle_stack.postgres.start)
    await answers_again(database, within=5)
    await database.close()


async def answers_again(database: Database, *, within: float) -> None:
    up = asyncio.Event()

    async def ask() -> None:
        while not up.is_set():
            try:
                await database.ping()
            except DatabaseUnavailable:
                await asyncio.sleep(0.05)
            else:
                up.set()

    asking = asyncio.create_task(ask())
    await eventually(up.is_set, within=within)
    await asking
