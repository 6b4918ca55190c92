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
        async for row in _values(database, column):
            looked.count(keys, row["sealed"], column.context(row["key"]), row["shown"])
        yield looked


async def look_at_redis(redis: Redis, keys: KeyRing) -> Looked:
    """Open every token; one that does not open costs one request to Feishu. Raises RedisError."""
    looked = Looked("redis")
    async for name in redis.scan_iter(match=REDIS_TOKENS, count=BATCH, _type="hash"):
        sealed = await redis.hget(name, "sealed")
        credential = name.decode().partition("{")[2].rstrip("}")
        if sealed is not None:
            place = context("redis", "tokens", bytes.fromhex(credential), "sealed")
            looked.count(keys, sealed, place, credential[:12])
    return looked


async def reseal(
    database: Database, keys: KeyRing, column: SealedColumn, progress: Progress
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
        async for row in _values(database, column, under_other_than=newest):
            place = column.context(row["key"])
            plaintext = looked.count(keys, row["sealed"], place, row["shown"])
            if plaintext is not None:
                new = keys.seal(plaintext, place)
                done += await database.execute(_update(column), row["key"], row["sealed"], new)
            elif column.replaceable:
                dropped += await database.execute(_delete(column), row["key"], row["sealed"])
                looked.unopened -= 1
            progress(column, done + dropped, max(done + dropped, total))
        left = await _count(database, column, newest) - looked.unopened
        if left <= 0:
            break
    return Resealed(looked, done, dropped, max(0, left))


async def _values(
    database: Database, column: SealedColumn, under_other_than: bytes | None = None
) -> AsyncIterator[Any]:
    """Every row with a value, in the order of keys, a batch at a time."""
    condition = "true" if under_other_than is None else _older(column)
    given = [] if under_other_than is None else [under_other_than]
    after: Any = None
    while True:
        rows = await database.fetch(
            f"SELECT {column.key} AS key, {column.column} AS sealed, {column.shown} AS shown "  # noqa: S608  names of our own
            f"FROM {column.table} WHERE {_held(column)} AND {condition} "
            f"{'' if after is None else f'AND {column.key} > ${len(given) + 1} '}"
            f"ORDER BY {column.key} LIMIT {BATCH}",
            *given,
            *([] if after is None else [after]),
        )
        for row in rows:
            yield row
        if len(rows) < BATCH:
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
    return f"UPDATE {column.table} SET {column.column} = $3 {_unchanged(column)}"  # noqa: S608


def _delete(column: SealedColumn) -> str:
    return f"DELETE FROM {column.table} {_unchanged(column)}"  # noqa: S608


def _unchanged(column: SealedColumn) -> str:
    # As it was read: who wrote meanwhile wrote something newer.
    return f"WHERE {column.key} = $1 AND {column.column} = $2"
