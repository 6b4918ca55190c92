"""The producers' grants in Postgres: read by every process, changed by operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from .app_rows import RegistryError
from .apps import DEFAULT_ALIAS
from .database import Connection, Database
from .producer_grant_rows import Apis, Grant, check_producer, read_grant
from .registry_changes import Changes

_REVISION: Final = "SELECT revision FROM registry_revision"
_GRANTS: Final = "SELECT * FROM producer_grants ORDER BY producer, alias, api"
_SOME: Final = "SELECT EXISTS (SELECT FROM producer_grants)"
_THERE: Final = """
SELECT EXISTS (
    SELECT FROM apps WHERE alias = $1 AND status <> 'removed'
    UNION ALL SELECT FROM pools WHERE alias = $1 AND NOT removed
)
"""
_GRANT: Final = """
INSERT INTO producer_grants (producer, alias, api, user_tokens, revision)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (producer, alias, api) DO UPDATE
SET user_tokens = excluded.user_tokens, revision = excluded.revision, updated_at = now()
"""
_REVOKE: Final = """
WITH gone AS (
    DELETE FROM producer_grants
    WHERE producer = $1 AND alias = $2 AND (cardinality($3::text[]) = 0 OR api = ANY($3::text[]))
    RETURNING 1
)
SELECT count(*) FROM gone
"""


class OpensOrCloses(RegistryError):
    """The change would make the first grant, or take the last: that changes what everybody may."""


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant's row."""

    grant: Grant
    created_at: datetime
    updated_at: datetime


class ProducerGrantStore:
    """Reads and changes grants; every method raises what Database raises, changes RegistryError."""

    def __init__(self, database: Database, *, actor: str = "gateway") -> None:
        self._database = database
        self._changes = Changes(database, actor)

    async def revision(self) -> int:
        """The number that every change of apps, pools and grants makes another."""
        row = await self._database.fetchrow(_REVISION)
        return -1 if row is None else int(row["revision"])

    async def read(self) -> list[StoredGrant]:
        """All grants. Raises RegistryError for a row that no command writes."""
        return [
            StoredGrant(read_grant(dict(row)), row["created_at"], row["updated_at"])
            for row in await self._database.fetch(_GRANTS)
        ]

    async def grant(self, grants: Sequence[Grant], *, closes: bool) -> None:
        """Add grants of one producer for one app or pool, or replace them where they are there.

        Raises OpensOrCloses where they are the first ones and *closes* does not allow that.
        """
        producer, alias = grants[0].producer, grants[0].alias
        check_producer(producer)
        details = {
            "producer": producer,
            "apis": [str(grant.apis) for grant in grants],
            "user_tokens": grants[0].user_tokens,
        }

        async def work(connection: Connection, revision: int) -> None:
            if alias != DEFAULT_ALIAS and not await connection.fetchval(_THERE, alias):
                raise RegistryError(
                    f"no app or pool has the alias {alias[:64]!r}; see which there are: "
                    "lark-service app list, lark-service pool list"
                )
            if not closes and not await connection.fetchval(_SOME):
                raise OpensOrCloses("this is the first grant: all other producers lose access")
            for grant in grants:
                row = (producer, alias, str(grant.apis), grant.user_tokens, revision)
                await connection.execute(_GRANT, *row)

        await self._changes.make("producer-grant", alias, details, work)

    async def revoke(
        self, producer: str, alias: str, apis: Sequence[Apis] = (), *, opens: bool
    ) -> None:
        """Take a producer's grants for these APIs of an app or pool, without any all of them.

        Raises OpensOrCloses where no grant would be left and *opens* does not allow that.
        """
        names = [str(some) for some in apis]

        async def work(connection: Connection, revision: int) -> None:
            if not await connection.fetchval(_REVOKE, producer, alias, names):
                raise RegistryError(
                    f"the producer {producer!r} has no such grant for {alias[:64]!r}; see what it "
                    "has: lark-service producer list"
                )
            if not opens and not await connection.fetchval(_SOME):
                raise OpensOrCloses("this is the last grant: all producers may call everything")

        details = {"producer": producer, "apis": names}
        await self._changes.make("producer-revoke", alias, details, work)
