"""Checks every sealed value in the stores, and brings those of Postgres under the newest key."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from .crypto import KeyRing, Undecryptable, context, key_id_of
from .database import Database
from .sealed_columns import SEALED_COLUMNS, SealedColumn

BATCH: Final = 200
MOST_NAMED: Final = 100
"""Rows of one place that are named; of the others only the number is told."""
MOST_PASSES: Final = 3
REDIS_TOKENS: Final = "lark:token:*"

Progress = Callable[[SealedColumn, int, int], None]
"""Called with a column, how many of its values are dealt with now, and of how many."""


@dataclass(slots=True)
class Looked:
    """What one place holds: values by the id of their key, and those that do not open."""

    place: str
    keys: Counter[str] = field(default_factory=Counter)
    unopened: int = 0
    named: list[tuple[str, str]] = field(default_factory=list)
    """Rows that do not open, and why."""

    def count(self, keys: KeyRing, sealed: bytes, place: bytes, row: str) -> bytes | None:
        """Open one value, count it, and return it; None where it does not open."""
        self.keys[key_id_of(sealed) or "none"] += 1
        try:
            return keys.open(sealed, place)
        except Undecryptable as error:
            self.unopened += 1
            if len(self.named) < MOST_NAMED:
                self.named.append((row, str(error)))
            return None


@dataclass(frozen=True, slots=True)
class Resealed:
    """What became of the values of one column that were under an older key."""

    looked: Looked
    count: int
    dropped: int
    """Values that did not open and that the gateway gets anew."""
    left: int
    """Values that processes wrote under an older key meanwhile: they do not have the ring yet."""


async def look_at_postgres(database: Database, keys: KeyRing) -> AsyncIterator[Looked]:
    """Open every value of each sealed column; raises what Database raises."""
    for column in SEALED_COLUMNS:
        looked = Looked(column.name)
        async for rows in _batches(database, column):
            for row in rows:
                looked.count(keys, row["sealed"], column.context(row["key"]), row["shown"])
        yield looked


async def look_at_redis(redis: Redis, keys: KeyRing) -> Looked:
    """Open every token; one that does not open costs one request to Feishu. Raises RedisError."""
    looked = Looked("redis")
    async for name in redis.scan_iter(match=REDIS_TOKENS, count=BATCH, _type="hash"):
        sealed = await redis.hget(name, "sealed")
        credential = name.decode().partition("{")[2].rstrip("}")
        # It may have ended since it was found.
        if isinstance(sealed, bytes):
            place = context("redis", "tokens", bytes.fromhex(credential), "sealed")
            looked.count(keys, sealed, place, credential[:12])
    return looked


async def reseal(
    database: Database,
    keys: KeyRing,
    column: SealedColumn,
    progress: Progress,
    *,
    batch: int = BATCH,
) -> Resealed:
    """Seal the column's values with the newest key; whoever writes meanwhile is not overwritten.

    Tokens that no key opens are dropped, since the gateway gets others. It may be killed and
    started again: the values themselves tell what is done. Raises what Database raises.
    """
    newest = bytes.fromhex(keys.key_ids[0])
    total = await _count(database, column, newest)
    done = dropped = 0
    looked, left = Looked(column.name), 0
    for _ in range(MOST_PASSES):
        looked = Looked(column.name)
        async for rows in _batches(database, column, batch, under_other_than=newest):
            opened, closed = _opened(column, keys, rows, looked)
            done += await database.execute(_update(column), *_columns(opened, 3))
            if column.replaceable:
                looked.unopened -= len(closed)
                dropped += await database.execute(_delete(column), *_columns(closed, 2))
            progress(column, done + dropped, max(done + dropped, total))
        left = await _count(database, column, newest) - looked.unopened
        if left <= 0:
            break
    return Resealed(looked, done, dropped, max(0, left))


def _opened(
    column: SealedColumn, keys: KeyRing, rows: list[Any], looked: Looked
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows that open with key, old and new value; and those that do not, with key and value."""
    opened: list[tuple[Any, ...]] = []
    closed: list[tuple[Any, ...]] = []
    for row in rows:
        place = column.context(row["key"])
        plaintext = looked.count(keys, row["sealed"], place, row["shown"])
        if plaintext is None:
            closed.append((row["key"], row["sealed"]))
        else:
            opened.append((row["key"], row["sealed"], keys.seal(plaintext, place)))
    return opened, closed


def _columns(rows: list[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(count)]


async def _batches(
    database: Database,
    column: SealedColumn,
    batch: int = BATCH,
    *,
    under_other_than: bytes | None = None,
) -> AsyncIterator[list[Any]]:
    """Every row with a value, in the order of keys, so many at a time."""
    condition = "true" if under_other_than is None else _older(column)
    given = [] if under_other_than is None else [under_other_than]
    after: Any = None
    while True:
        rows = await database.fetch(
            f"SELECT {column.key} AS key, {column.column} AS sealed, {column.shown} AS shown "  # noqa: S608  names of our own
            f"FROM {column.table} WHERE {_held(column)} AND {condition} "
            f"{'' if after is None else f'AND {column.key} > ${len(given) + 1} '}"
            f"ORDER BY {column.key} LIMIT {batch}",
            *given,
            *([] if after is None else [after]),
        )
        if rows:
            yield rows
        if len(rows) < batch:
            return
        after = rows[-1]["key"]


async def _count(database: Database, column: SealedColumn, newest: bytes) -> int:
    row = await database.fetchrow(
        f"SELECT count(*) AS count FROM {column.table} "  # noqa: S608
        f"WHERE {_held(column)} AND {_older(column)}",
        newest,
    )
    return int(row["count"]) if row is not None else 0


def _held(column: SealedColumn) -> str:
    return f"{column.column} IS NOT NULL AND {column.rows}"


def _older(column: SealedColumn) -> str:
    # The key's id follows one byte of version.
    return f"substring({column.column} FROM 2 FOR 4) <> $1"


def _update(column: SealedColumn) -> str:
    read = f"unnest($1::{column.key_type}[], $2::bytea[], $3::bytea[]) AS read (key, old, new)"
    return f"UPDATE {column.table} SET {column.column} = read.new FROM {read} {_unchanged(column)}"  # noqa: S608


def _delete(column: SealedColumn) -> str:
    read = f"unnest($1::{column.key_type}[], $2::bytea[]) AS read (key, old)"
    return f"DELETE FROM {column.table} USING {read} {_unchanged(column)}"  # noqa: S608


def _unchanged(column: SealedColumn) -> str:
    # As it was read: who wrote meanwhile wrote something newer.
    table = column.table
    return f"WHERE {table}.{column.key} = read.key AND {table}.{column.column} = read.old"
