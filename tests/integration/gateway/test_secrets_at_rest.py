"""Sealed values in Postgres: which there are, that one bad one harms no other, and new keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from gateway.app_store import AppStore
from gateway.apps import App, Apps
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.errors import NotNow
from gateway.sealed_columns import NOT_SECRET, SEALED_COLUMNS, SealedColumn
from gateway.secrets_at_rest import Looked, look_at_postgres, look_at_redis, reseal
from gateway.tokens.grant_registry import GrantRegistry
from gateway.tokens.oauth import Pair
from gateway.tokens.sealing import Sealer
from gateway.tokens.tickets import AppTickets
from gateway.tokens.token import Credential, Holder, Token
from schemas.reply import ErrorType

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
GONE_RING = KeyRing([bytes(range(64, 96))])
OLD_RING, BOTH, NEW_RING = KeyRing([OLD]), KeyRing([NEW, OLD]), KeyRing([NEW])
DOMAIN = "https://open.feishu.cn"
BYTE_COLUMNS = """
SELECT table_name || '.' || column_name AS name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type = 'bytea'
"""
PUT_TOKEN = """
INSERT INTO tokens VALUES ($1, 'cli_1', 'tenant', $2, $3, now(), now() + interval '1 hour')
"""

WRITE = "UPDATE apps SET secret = $1 WHERE alias = 'app-1'"
FLIP = """
UPDATE apps SET secret = set_byte(secret, 30, get_byte(secret, 30) # 1) WHERE alias = 'app-1'
"""
COPY = """
UPDATE apps SET secret = (SELECT secret FROM apps WHERE alias = 'app-0') WHERE alias = 'app-1'
"""
PLAIN = b"a secret in the clear, forty bytes long."
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def new_app(alias: str) -> App:
    return App(alias, f"cli_{alias}", SecretStr(f"secret of {alias}"), DOMAIN)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.migrate()
    yield database
    await database.execute("TRUNCATE apps, app_tickets, user_grants, tokens")
    await database.close()


async def fill(database: Database, keys: KeyRing, count: int = 1) -> None:
    """Have every store write what it seals."""
    for number in range(count):
        app = new_app(f"app-{number}")
        await AppStore(database, keys).add(app)
        await AppTickets(database, keys).put(app, f"ticket of {number}")
        user = Credential.of(app, Holder("user", "anna"))
        pair = Pair(f"access {number}", 7200, f"refresh {number}", 604_800, "im:message")
        await GrantRegistry(database, keys, actor="tests").put(user, pair, "user_added")
        await put_token(database, keys, app)


async def put_token(database: Database, keys: KeyRing, app: App) -> Token:
    token = Token(f"token of {app.alias}", Credential.of(app), 0.0, 1.0)
    sealed = Sealer("postgres", keys).seal(token)
    await database.execute(PUT_TOKEN, token.credential.key, token.fingerprint, sealed)
    return token


async def look(database: Database, keys: KeyRing) -> dict[str, Looked]:
    return {looked.place: looked async for looked in look_at_postgres(database, keys)}


async def reseal_all(database: Database, keys: KeyRing) -> list[int]:
    """How many values of each column were re-sealed."""
    ended = [await reseal(database, keys, column, _unseen) for column in SEALED_COLUMNS]
    return [column.count for column in ended]


def _unseen(column: SealedColumn, done: int, total: int) -> None:
    assert 0 < done <= total, column


async def test_every_column_of_bytes_is_sealed_or_known_to_hold_no_secret(
    database: Database,
) -> None:
    there = {row["name"] for row in await database.fetch(BYTE_COLUMNS)}
    sealed = {column.name for column in SEALED_COLUMNS}
    assert there == sealed | set(NOT_SECRET)
    assert not sealed & set(NOT_SECRET)


async def test_what_the_stores_sealed_opens_and_is_counted_by_key(database: Database) -> None:
    await fill(database, OLD_RING, 3)
    for looked in (await look(database, BOTH)).values():
        assert looked.unopened == 0, looked
        assert looked.keys == {OLD_RING.key_ids[0]: 3}, looked


async def test_resealing_brings_every_value_under_the_newest_key(database: Database) -> None:
    await fill(database, OLD_RING, 3)
    assert await reseal_all(database, BOTH) == [3] * len(SEALED_COLUMNS)
    for looked in (await look(database, NEW_RING)).values():
        assert looked.unopened == 0
        assert looked.keys == {NEW_RING.key_ids[0]: 3}
    assert await reseal_all(database, BOTH) == [0] * len(SEALED_COLUMNS)
    stored = (await AppStore(database, NEW_RING).read()).apps["app-1"].app
    assert stored == new_app("app-1")
    assert await AppTickets(database, NEW_RING).get(stored) == "ticket of 1"


async def test_resealing_that_was_killed_goes_on_where_it_was(database: Database) -> None:
    await fill(database, OLD_RING, 12)
    column = SEALED_COLUMNS[0]

    def killed(_column: SealedColumn, done: int, _total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await reseal(database, BOTH, column, killed, batch=5)
    half = (await look(database, BOTH))[column.name]
    assert half.keys == {NEW_RING.key_ids[0]: 5, OLD_RING.key_ids[0]: 7}
    assert (await reseal(database, BOTH, column, _unseen, batch=5)).count == 7
    assert (await look(database, NEW_RING))[column.name].unopened == 0


async def test_who_writes_while_a_value_is_resealed_never_loses(
    database: Database, database_url: str
) -> None:
    await fill(database, OLD_RING, 3)
    column = SEALED_COLUMNS[0]
    other_words = OLD_RING.seal(b"another secret", column.context("app-1"))
    writer = await asyncpg.connect(database_url)
    try:
        async with writer.transaction():
            await writer.execute(WRITE, other_words)
            resealing = asyncio.create_task(reseal(database, BOTH, column, lambda *_: None))
            # It has read the old value, and waits to replace it.
            while not await writer.fetchval(WAITS):
                assert not resealing.done()
        assert (await resealing).count == 3
    finally:
        await writer.close()
    stored = (await AppStore(database, NEW_RING).read()).apps["app-1"].app
    assert stored.secret.get_secret_value() == "another secret"


async def test_tokens_that_no_key_opens_are_dropped_since_the_next_call_gets_others(
    database: Database,
) -> None:
    await fill(database, OLD_RING, 2)
    await put_token(database, GONE_RING, new_app("late"))
    column = SEALED_COLUMNS[-1]
    assert (await look(database, BOTH))[column.name].unopened == 1
    ended = await reseal(database, BOTH, column, _unseen)
    assert (ended.count, ended.dropped, ended.left, ended.looked.unopened) == (2, 1, 0, 0)
    assert (await look(database, BOTH))[column.name].keys == {NEW_RING.key_ids[0]: 2}


WRITE_AGAIN = """
CREATE FUNCTION write_again() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN NEW.sealed = OLD.sealed; RETURN NEW; END $$;
CREATE TRIGGER written_again BEFORE UPDATE ON tokens
    FOR EACH ROW EXECUTE FUNCTION write_again()
"""


async def test_values_that_processes_go_on_writing_under_an_older_key_are_told(
    database: Database,
) -> None:
    await fill(database, OLD_RING, 2)
    column = next(column for column in SEALED_COLUMNS if column.table == "tokens")
    await database.execute(WRITE_AGAIN)
    assert (await reseal(database, BOTH, column, lambda *_: None)).left == 2
    await database.execute("DROP FUNCTION write_again CASCADE")
    assert (await reseal(database, BOTH, column, lambda *_: None)).left == 0


Damage = Callable[[Database], Awaitable[object]]
DAMAGES: dict[str, tuple[str, Damage, str]] = {
    "a flipped byte": (
        "app-1",
        lambda database: database.execute(FLIP),
        "was changed or belongs to another place",
    ),
    "the value of another row": (
        "app-1",
        lambda database: database.execute(COPY),
        "was changed or belongs to another place",
    ),
    "a key that is gone": (
        "late",
        lambda database: AppStore(database, GONE_RING).add(new_app("late")),
        "which is not in the key ring",
    ),
    "plain text": (
        "app-1",
        lambda database: database.execute(WRITE, PLAIN),
        "has a version that this program does not know",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_one_value_that_does_not_open_fails_its_own_app_alone_and_is_named(
    damage: str, database: Database
) -> None:
    alias, harm, why = DAMAGES[damage]
    await fill(database, OLD_RING, 3)
    await harm(database)
    looked = (await look(database, BOTH))["apps.secret"]
    assert looked.unopened == 1
    assert [row for row, _ in looked.named] == [alias]
    assert why in looked.named[0][1]
    stored = await AppStore(database, BOTH).read()
    apps = Apps([stored_app.app for stored_app in stored.apps.values()])
    with pytest.raises(NotNow, match=why) as caught:
        apps.get(alias)
    assert caught.value.type is ErrorType.STORE_UNAVAILABLE
    for other in {"app-0", "app-1", "app-2"} - {alias}:
        assert apps.get(other) == new_app(other)
    ended = await reseal(database, BOTH, SEALED_COLUMNS[0], lambda *_: None)
    assert (ended.looked.unopened, ended.left) == (1, 0)
    assert (await look(database, NEW_RING))["apps.secret"].unopened == 1


async def test_tokens_in_redis_are_opened_and_one_in_the_clear_is_told(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        app = new_app("a")
        token = Token("t-in-redis", Credential.of(app), 0.0, 1.0)
        place = f"lark:token:{{{token.credential.key.hex()}}}"
        await redis.hset(place, "sealed", Sealer("redis", OLD_RING).seal(token))
        looked = await look_at_redis(redis, BOTH)
        assert (looked.unopened, looked.keys) == (0, {OLD_RING.key_ids[0]: 1})
        await redis.hset(place, "sealed", token.value.encode() * 9)
        looked = await look_at_redis(redis, BOTH)
        assert (looked.unopened, looked.keys) == (1, {"none": 1})
