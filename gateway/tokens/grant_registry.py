"""User grants as operators see and change them; every change is on record and told to all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.crypto import KeyRing
from gateway.database import Connection, Database
from gateway.registry_changes import Changes

from .grant_rows import Listed, failure_of, print_of, seal
from .grant_store import DURABLE
from .oauth import Pair
from .token import Credential

_PUT: Final = """
INSERT INTO user_grants AS held
    (credential, domain, app_id, user_key, scope, access_token, access_expires_at,
    refresh_token, refresh_print, refresh_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7),
    $8, $9, clock_timestamp() + make_interval(secs => $10))
ON CONFLICT (credential) DO UPDATE SET
    scope = excluded.scope, access_token = excluded.access_token,
    access_expires_at = excluded.access_expires_at, refresh_token = excluded.refresh_token,
    refresh_print = excluded.refresh_print, refresh_expires_at = excluded.refresh_expires_at,
    spent_print = NULL, granted_at = clock_timestamp(), refreshed_at = NULL, state = 'active',
    failure = NULL, failures = 0, retry_at = NULL, lease_owner = NULL, lease_until = NULL,
    fence = held.fence + 1
"""
_PROBE: Final = "UPDATE user_grants SET fence = fence WHERE false"
_REMOVE: Final = "DELETE FROM user_grants WHERE credential = $1"
# Every process looks there twice a second for what to forget.
_FORGET: Final = "INSERT INTO token_drops (fingerprint) VALUES ($1)"
_LIST: Final = """
SELECT domain, app_id, user_key, state, scope, granted_at, refreshed_at, access_expires_at,
    refresh_expires_at, failure,
    spent_print IS NOT DISTINCT FROM refresh_print AS doubtful
FROM user_grants
WHERE ($1::text IS NULL OR domain = $1 AND app_id = $2) AND ($3::text IS NULL OR user_key = $3)
ORDER BY domain, app_id, user_key
"""


class GrantRegistry:
    """Every method raises DatabaseUnavailable or StatementRefused."""

    def __init__(self, database: Database, keys: KeyRing, *, actor: str) -> None:
        """*actor* is who makes the changes, as the record names them."""
        self._database = database
        self._keys = keys
        self._changes = Changes(database, actor)

    async def check_writable(self) -> None:
        """Raise where Postgres takes no grant now, before what cannot be had again is spent."""
        await self._database.execute(_PROBE)

    async def put(self, credential: Credential, pair: Pair, action: str) -> None:
        """Store a new grant of the user in the place of any other.

        Every process takes it up within a second, unless Redis still has the former token.
        """
        refresh_token = pair.refresh_token or ""
        sealed = seal(self._keys, credential, "access_token", pair.access_token)
        arguments = (
            *(credential.key, credential.app.domain, credential.app.app_id),
            *(credential.holder.name, pair.scope, sealed, float(pair.access_seconds)),
            seal(self._keys, credential, "refresh_token", refresh_token),
            *(print_of(refresh_token), float(pair.refresh_seconds)),
        )

        async def work(connection: Connection, _: int) -> None:
            await connection.fetch(DURABLE)
            await connection.execute(_PUT, *arguments)
            await connection.execute(_FORGET, credential.key)

        details = {"user": credential.holder.name, "scope": pair.scope}
        await self._changes.make(action, credential.app.alias, details, work)

    async def remove(self, credential: Credential) -> bool:
        """Forget a grant, in every process within a second; False where there was none."""
        found = False

        async def work(connection: Connection, _: int) -> None:
            nonlocal found
            found = (await connection.execute(_REMOVE, credential.key)).endswith(" 1")
            await connection.execute(_FORGET, credential.key)

        details = {"user": credential.holder.name}
        await self._changes.make("user_removed", credential.app.alias, details, work)
        return found

    async def list(
        self, app: tuple[str, str] | None = None, user_key: str | None = None
    ) -> Sequence[Listed]:
        """All grants, or those of an app (domain and app id) or of a user key; without tokens."""
        domain, app_id = app or (None, None)
        rows = await self._database.fetch(_LIST, domain, app_id, user_key)
        return [
            Listed(**{**row, "failure": failure_of(row["failure"])})
            for row in map(dict[str, Any], rows)
        ]
