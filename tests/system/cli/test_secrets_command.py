"""`lark-service secrets`: a key is exchanged under way, and what does not open is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from gateway.app_store import AppStore
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.sealed_columns import SEALED_COLUMNS
from tests.support.command import COMMAND, Ran, plain_environment, run

OLD, NEW = "ab" * 32, "cd" * 32
OLD_RING, NEW_RING = KeyRing.from_text(OLD), KeyRing.from_text(NEW)
OLD_ID, NEW_ID = OLD_RING.key_ids[0], NEW_RING.key_ids[0]
APP = App("news", "cli_news", SecretStr("news-app-secret"), "https://open.feishu.cn")
TOKENS = next(column for column in SEALED_COLUMNS if column.table == "tokens")
FILL = """
INSERT INTO tokens SELECT key, 'cli_1', 'tenant', '', sealed, now(), now() + interval '1 hour'
FROM unnest($1::bytea[], $2::bytea[]) AS many (key, sealed)
"""
UNDER_WAY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'lark-service'
"""
COUNT = "SELECT count(*) FROM tokens WHERE substring(sealed FROM 2 FOR 4) = $1"
MANY = 20_000


@pytest.fixture
async def raw(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Postgres with one app, whose secret is sealed with the old key."""
    database = Database(database_url)
    await database.migrate()
    await AppStore(database, OLD_RING).add(APP)
    await database.close()
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.execute("TRUNCATE apps, tokens")
    await connection.close()


@pytest.fixture
def settings(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "LARK_SERVICE_SECRET_KEY": f"{NEW},{OLD}",
    }


async def secrets(command: str, folder: Path, settings: dict[str, str], *options: str) -> Ran:
    return await run("secrets", command, *options, folder=folder, **settings)


@pytest.mark.usefixtures("raw")
async def test_a_key_is_exchanged_and_verify_says_when_the_old_one_may_go(
    settings: dict[str, str], tmp_path: Path
) -> None:
    before = await secrets("verify", tmp_path, settings)
    rotated = await secrets("rotate", tmp_path, settings, "--json")
    after = await secrets("verify", tmp_path, settings, "--json")
    told = await secrets("verify", tmp_path, settings)
    alone = await secrets("verify", tmp_path, {**settings, "LARK_SERVICE_SECRET_KEY": NEW})

    assert before.code == 0
    assert "Older keys are still needed: lark-service secrets rotate" in before.out
    assert rotated.code == 0
    assert rotated.json["key"] == NEW_ID
    counts = {"resealed": 1, "dropped": 0, "left": 0, "unopened": 0}
    assert rotated.json["columns"][0] == {"column": "apps.secret", **counts}
    assert "apps.secret" in rotated.err
    assert after.code == 0
    assert after.json["unneeded"] == [OLD_ID]
    assert after.json["redis"] is True
    assert after.json["places"][0] == {
        "place": "apps.secret",
        "values": {NEW_ID: 1},
        "unopened": 0,
        "rows": [],
    }
    assert f"Key {OLD_ID} seals nothing any more: take it out" in told.out
    assert alone.code == 0


async def test_a_rotation_that_is_killed_goes_on_when_it_is_run_again(
    raw: asyncpg.Connection, settings: dict[str, str], tmp_path: Path
) -> None:
    keys = [number.to_bytes(32, "big") for number in range(MANY)]
    rows = [(key, OLD_RING.seal(b"t-token", TOKENS.context(key))) for key in keys]
    await raw.execute(FILL, *map(list, zip(*rows, strict=True)))
    new = bytes.fromhex(NEW_ID)
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "secrets", "rotate"),
        env=plain_environment() | settings,
        cwd=tmp_path,
        stderr=asyncio.subprocess.DEVNULL,
    )
    while not await raw.fetchval(COUNT, new):
        assert process.returncode is None
    process.kill()
    await process.wait()
    # What the process had sent Postgres carries out, and commits, all the same.
    async with asyncio.timeout(10):
        while await raw.fetchval(UNDER_WAY):  # noqa: ASYNC110  it looks by itself
            await asyncio.sleep(0.02)
    done = await raw.fetchval(COUNT, new)
    assert 0 < done < MANY
    again = await secrets("rotate", tmp_path, settings, "--json")
    assert again.code == 0
    assert again.json["columns"][-1]["resealed"] == MANY - done
    assert await raw.fetchval(COUNT, new) == MANY


async def test_what_does_not_open_is_named_and_its_secret_is_not_shown(
    raw: asyncpg.Connection, settings: dict[str, str], tmp_path: Path
) -> None:
    await raw.execute("UPDATE apps SET secret = 'hunter2 in the clear, and thirty-three bytes'")
    verified = await secrets("verify", tmp_path, settings)
    as_json = await secrets("verify", tmp_path, settings, "--json")
    rotated = await secrets("rotate", tmp_path, settings)
    assert verified.code == as_json.code == rotated.code == 1
    assert "apps.secret, news: a sealed value has a version" in verified.out
    assert as_json.json["places"][0]["rows"][0]["row"] == "news"
    assert rotated.err.endswith("which and why with lark-service secrets verify.\n")
    for ran in (verified, as_json, rotated):
        assert "hunter2" not in ran.out + ran.err


@pytest.mark.usefixtures("raw")
async def test_without_redis_its_copies_are_said_not_to_be_looked_at(
    settings: dict[str, str], tmp_path: Path
) -> None:
    away = {**settings, "REDIS_URL": "redis://127.0.0.1:1/0"}
    verified = await secrets("verify", tmp_path, away)
    assert verified.code == 0
    assert "Redis does not answer: its copies were not looked at" in verified.out


@pytest.mark.parametrize("command", ["rotate", "verify"])
async def test_without_a_key_of_its_own_there_is_nothing_to_do(
    command: str, settings: dict[str, str], tmp_path: Path
) -> None:
    ran = await secrets(command, tmp_path, {**settings, "LARK_SERVICE_SECRET_KEY": ""})
    assert ran.code == 2
    assert "LARK_SERVICE_SECRET_KEY is not set" in ran.err
