"""User grants in Postgres, refreshed under a lease; no late answer overwrites a newer grant."""

from __future__ import annotations

import secrets
from typing import Final

from gateway.crypto import KeyRing
from gateway.database import Connection, Database

from .grant_rows import Grant, print_of, read_grant, seal
from .grant_verdict import Verdict
from .oauth import Pair
from .sealing import write_failure
from .token import Credential

LEASE_SECONDS = 30.0

_LOOK: Final = """
SELECT access_token, refresh_token, refresh_print, state, failure, failures, fence, scope,
    spent_print IS NOT DISTINCT FROM refresh_print AS doubtful,
    extract(epoch FROM access_expires_at - clock_timestamp())::float8 AS access_seconds,
    extract(epoch FROM refresh_expires_at - clock_timestamp())::float8 AS refresh_seconds,
    extract(epoch FROM access_expires_at - refreshed_at)::float8 AS life,
    extract(epoch FROM clock_timestamp() - refreshed_at)::float8 AS age,
    coalesce(extract(epoch FROM lease_until - clock_timestamp())::float8, 0) AS leased,
    coalesce(extract(epoch FROM retry_at - clock_timestamp())::float8, 0) AS resting
FROM user_grants WHERE credential = $1
"""
# The commit must be on disk before the refresh token is sent, whatever the server's default is.
DURABLE: Final = """
SELECT set_config('synchronous_commit', 'on', true)
WHERE current_setting('synchronous_commit') = 'off'
"""
# The second half is this very statement, sent again after its answer was lost.
_LEASE: Final = """
UPDATE user_grants SET state = 'refreshing', spent_print = refresh_print, fence = $2 + 1,
    lease_owner = $3, lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE credential = $1 AND state <> 'reauth_required' AND (
    (fence = $2 AND coalesce(lease_until <= clock_timestamp(), true))
    OR (fence = $2 + 1 AND lease_owner = $3)
)
"""
# Not by the fence: who comes late, after its lease, still has the only pair that follows this one.
_SAVE: Final = """
UPDATE user_grants SET access_token = $3, refresh_token = $4, refresh_print = $5,
    scope = coalesce(nullif($6, ''), scope),
    access_expires_at = clock_timestamp() + make_interval(secs => $7),
    refresh_expires_at = clock_timestamp() + make_interval(secs => $8),
    refreshed_at = clock_timestamp() - make_interval(secs => $9), state = 'active',
    failure = NULL, failures = 0, retry_at = NULL, lease_owner = NULL, lease_until = NULL
WHERE credential = $1 AND (refresh_print = $2 OR refresh_print = $5)
"""
_FAIL: Final = """
UPDATE user_grants SET state = $4, failure = $5, failures = failures + 1,
    retry_at = clock_timestamp() + make_interval(secs => $6),
    spent_print = CASE WHEN $7 THEN spent_print END, lease_owner = NULL, lease_until = NULL
WHERE credential = $1 AND fence = $2 AND refresh_print = $3
"""
# In its last two days, or in the second half of a shorter life.
_DUE: Final = """
SELECT domain, app_id, user_key FROM user_grants
WHERE state <> 'reauth_required' AND coalesce(lease_until <= clock_timestamp(), true)
    AND coalesce(retry_at <= clock_timestamp(), true)
    AND refresh_expires_at < clock_timestamp() + interval '2 days'
    AND refresh_expires_at - clock_timestamp()
        < (refresh_expires_at - coalesce(refreshed_at, granted_at)) / 2
ORDER BY refresh_expires_at LIMIT $1
"""
_COUNTS: Final = "SELECT state, count(*) AS count FROM user_grants GROUP BY state"
STATES: Final = ("active", "refreshing", "reauth_required")


class GrantStore:
    """Every method raises DatabaseUnavailable or StatementRefused."""

    def __init__(
        self, database: Database, keys: KeyRing, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._database = database
        self._keys = keys
        self._lease_seconds = lease_seconds
        self._owner = secrets.token_hex(16)

    async def look(self, credential: Credential) -> Grant | None:
        """Read a grant; raises NotNow where no key of the ring opens it."""
        row = await self._database.fetchrow(_LOOK, credential.key)
        return None if row is None else read_grant(self._keys, credential, dict(row))

    async def due(self, most: int) -> list[tuple[str, str, str]]:
        """Domain, app id and user key of grants that would soon end for want of a call."""
        rows = await self._database.fetch(_DUE, most)
        return [(row["domain"], row["app_id"], row["user_key"]) for row in rows]

    async def counts(self) -> dict[str, int]:
        """How many grants there are in each state."""
        rows = await self._database.fetch(_COUNTS)
        return dict.fromkeys(STATES, 0) | {row["state"]: row["count"] for row in rows}

    async def lease(self, credential: Credential, grant: Grant) -> int | None:
        """Take the right to spend the grant's refresh token, on disk when this returns.

        Returns the fence of the lease; None where another has it or the grant is another by now.
        """
        owner = f"{self._owner}:{secrets.token_hex(8)}"

        async def work(connection: Connection) -> str:
            await connection.fetch(DURABLE)
            return await connection.execute(
                _LEASE, credential.key, grant.fence, owner, self._lease_seconds
            )

        taken = await self._database.transaction(work)
        return grant.fence + 1 if taken.endswith(" 1") else None

    async def save(self, credential: Credential, spent: bytes, pair: Pair, waited: float) -> bool:
        """Write the pair in the place of the refresh token that was spent for it.

        *waited* is how many seconds ago Feishu was asked. False where another grant is there, or
        none.
        """
        refresh_token = pair.refresh_token or ""
        arguments = (
            *(credential.key, spent),
            seal(self._keys, credential, "access_token", pair.access_token),
            seal(self._keys, credential, "refresh_token", refresh_token),
            *(print_of(refresh_token), pair.scope),
            *(pair.access_seconds - waited, pair.refresh_seconds - waited, waited),
        )

        async def work(connection: Connection) -> str:
            await connection.fetch(DURABLE)
            return await connection.execute(_SAVE, *arguments)

        return (await self._database.transaction(work)).endswith(" 1")

    async def fail(
        self, credential: Credential, grant: Grant, fence: int, verdict: Verdict
    ) -> bool:
        """Give the lease back and keep what went wrong; False where the lease is another's by now.

        Nobody tries again before the verdict's seconds are over, and never if the grant is gone.
        """
        count = await self._database.execute(
            _FAIL,
            *(credential.key, fence, grant.refresh_print),
            "reauth_required" if verdict.gone else "active",
            write_failure(verdict.error).decode(),
            *(verdict.seconds, verdict.spent),
        )
        return count == 1
