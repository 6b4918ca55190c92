"""`lark-service db`, and a gateway that meets a schema which is not for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.migrations import known
from tests.support.command import run

STEPS = [step.name for step in known()]
NEWER = "INSERT INTO schema_migrations VALUES (9000, '9000_later', '', now())"
CHANGED = "UPDATE schema_migrations SET checksum = 'other' WHERE version = 2"
SKIPPED = "DELETE FROM schema_migrations WHERE version = 2"
MISMATCHES = pytest.mark.parametrize(
    ("change", "said"),
    [
        (NEWER, "9000_later, which is newer than this lark-service"),
        (CHANGED, "migrated with another 0002_dead_letters"),
        (SKIPPED, "half migrated: 0002_dead_letters was never applied"),
    ],
    ids=["newer", "changed", "half"],
)


@pytest.fixture
async def raw(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


@pytest.fixture
async def migrated(raw: asyncpg.Connection, database_url: str, tmp_path: Path) -> None:
    ran = await run("db", "migrate", folder=tmp_path, DATABASE_URL=database_url)
    assert ran.code == 0, ran.err


async def test_status_tells_the_steps_to_take_and_migrate_takes_them_once(
    raw: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    before = await run("db", "status", "--json", folder=tmp_path, DATABASE_URL=database_url)
    first = await run("db", "migrate", "--json", folder=tmp_path, DATABASE_URL=database_url)
    second = await run("db", "migrate", folder=tmp_path, DATABASE_URL=database_url)
    after = await run("db", "status", folder=tmp_path, DATABASE_URL=database_url)

    assert before.code == 1
    assert before.json == {"ok": False, "applied": [], "pending": STEPS}
    assert before.err == f"{len(STEPS)} steps to take: lark-service db migrate\n"
    assert first.json == {"ok": True, "applied": STEPS}
    assert (second.code, second.out) == (0, "The schema is up to date.\n")
    assert after.code == 0
    assert all(step in after.out for step in STEPS)
    assert "pending" not in after.out


async def test_status_changes_nothing(
    raw: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    await run("db", "status", folder=tmp_path, DATABASE_URL=database_url)

    assert await raw.fetchval("SELECT to_regclass('schema_migrations')") is None


async def test_commands_that_run_together_take_each_step_once(
    raw: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    words = ("db", "migrate", "--json")

    ran = await asyncio.gather(
        *(run(*words, folder=tmp_path, DATABASE_URL=database_url) for _ in range(3))
    )

    assert sorted(len(one.json["applied"]) for one in ran) == [0, 0, len(STEPS)]


@MISMATCHES
@pytest.mark.parametrize("verb", ["status", "migrate"])
@pytest.mark.usefixtures("migrated")
async def test_a_schema_that_is_not_for_this_version_is_refused(
    raw: asyncpg.Connection, database_url: str, tmp_path: Path, change: str, said: str, verb: str
) -> None:
    await raw.execute(change)
    before = await raw.fetch("SELECT * FROM schema_migrations ORDER BY version")

    ran = await run("db", verb, folder=tmp_path, DATABASE_URL=database_url)

    assert ran.code == 2
    assert ran.err.startswith("ConfigError: ")
    assert said in ran.err
    assert await raw.fetch("SELECT * FROM schema_migrations ORDER BY version") == before


@MISMATCHES
@pytest.mark.usefixtures("migrated")
async def test_a_gateway_ends_on_a_schema_that_is_not_for_it(
    raw: asyncpg.Connection,
    gateway_environment: dict[str, str],
    tmp_path: Path,
    change: str,
    said: str,
) -> None:
    await raw.execute(change)
    settings = {
        name: value
        for name, value in gateway_environment.items()
        if name.startswith(("LARK_", "RABBITMQ_", "REDIS_", "DATABASE_"))
    }

    ran = await run("serve", folder=tmp_path, **settings)

    assert ran.code == 2
    assert "ConfigError: The database " in ran.err
    assert said in ran.err


async def test_tables_of_somebody_else_are_left_alone_and_named(
    raw: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    await raw.execute("CREATE TABLE dead_letters (mine text)")

    ran = await run("db", "migrate", folder=tmp_path, DATABASE_URL=database_url)

    assert ran.code == 2
    assert "0002_dead_letters cannot be applied" in ran.err
    assert await raw.fetchval("SELECT to_regclass('tokens')") is None


@pytest.fixture
async def modest_url(raw: asyncpg.Connection, database_url: str) -> AsyncIterator[str]:
    """Postgres as a role that may do nothing yet."""
    await raw.execute("DROP ROLE IF EXISTS modest_operator")
    await raw.execute("CREATE ROLE modest_operator LOGIN PASSWORD 'modest'")
    await raw.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    await raw.execute("GRANT USAGE ON SCHEMA public TO modest_operator")
    parts = urlsplit(database_url)
    yield f"postgresql://modest_operator:modest@{parts.hostname}:{parts.port}{parts.path}"
    await raw.execute("DROP OWNED BY modest_operator; DROP ROLE modest_operator")


async def test_a_role_that_may_not_create_tables_is_told_what_it_needs(
    modest_url: str, gateway_environment: dict[str, str], tmp_path: Path
) -> None:
    names = ("LARK_", "RABBITMQ_", "REDIS_")
    settings = {n: value for n, value in gateway_environment.items() if n.startswith(names)}

    ran = await run("db", "migrate", folder=tmp_path, DATABASE_URL=modest_url)
    served = await run("serve", folder=tmp_path, DATABASE_URL=modest_url, **settings)

    for one in (ran, served):
        assert one.code == 2
        assert "permission denied" in one.err
        assert "its user must be allowed to create tables" in one.err


@pytest.mark.usefixtures("migrated")
async def test_a_role_that_may_not_read_the_steps_is_told_what_it_needs(
    modest_url: str, tmp_path: Path
) -> None:
    for verb in ("status", "migrate"):
        ran = await run("db", verb, folder=tmp_path, DATABASE_URL=modest_url)

        assert ran.code == 2
        assert "cannot be read: permission denied for table schema_migrations" in ran.err


@pytest.mark.parametrize("verb", ["status", "migrate"])
async def test_postgres_away_is_told_by_host_and_port_and_without_the_password(
    tmp_path: Path, verb: str
) -> None:
    url = "postgresql://lark:pass-word@127.0.0.1:1/lark_service"

    ran = await run("db", verb, "--json", folder=tmp_path, DATABASE_URL=url)

    assert (ran.code, ran.out) == (4, "")
    assert "Postgres at 127.0.0.1:1 is not to be had" in ran.err
    assert "pass-word" not in ran.err


async def test_a_refused_password_is_not_shown(database_url: str, tmp_path: Path) -> None:
    wrong = database_url.replace(urlsplit(database_url).password or "", "pass-word")

    ran = await run("db", "status", folder=tmp_path, DATABASE_URL=wrong)

    assert ran.code == 4
    assert "InvalidPasswordError" in ran.err
    assert "pass-word" not in ran.err
