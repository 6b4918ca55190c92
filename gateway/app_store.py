"""The apps in Postgres: read by every process, changed by operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from .app_rows import (
    Registry,
    RegistryError,
    StoredApp,
    check_alias,
    check_app_id,
    check_keys,
    read_app,
    read_pool,
    seal_secret,
)
from .apps import App, AppStatus
from .crypto import KeyRing
from .database import Connection, Database
from .registry_changes import Change, Changes, check_free, check_unchanged
from .settings import checked_domain
from .site_limits import read_app_limits

_REVISION: Final = "SELECT revision FROM registry_revision"
_ONE_MOMENT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_APPS: Final = "SELECT * FROM apps ORDER BY alias"
_POOLS: Final = "SELECT * FROM pools ORDER BY alias"
_SAME_APP: Final = """
SELECT alias FROM apps WHERE domain = $1 AND app_id = $2 AND status <> 'removed'
"""
_FOUND: Final = "SELECT revision FROM apps WHERE alias = $1"
_MEMBER_OF: Final = "SELECT alias FROM pools WHERE $1 = ANY(members) AND NOT removed ORDER BY alias"
_ADD: Final = """
INSERT INTO apps (alias, app_id, secret, kind, domain, status, revision)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_RESEAL: Final = """
UPDATE apps SET secret = $3, secret_changed_at = now(), updated_at = now(), revision = $2
WHERE alias = $1
"""
_NEW_LIMITS: Final = """
UPDATE apps SET limits = $3::jsonb, updated_at = now(), revision = $2 WHERE alias = $1
"""
_NEW_STATUS: Final = """
UPDATE apps SET status = $3, updated_at = now(), revision = $2 WHERE alias = $1
"""
_PURGE: Final = """
WITH gone AS (
    DELETE FROM apps WHERE alias = $1 AND status = 'removed' RETURNING 1
), gone_ticket AS (
    DELETE FROM app_tickets WHERE alias = $1 AND EXISTS (SELECT FROM gone)
), gone_pool AS (
    DELETE FROM pools WHERE alias = $1 AND removed RETURNING 1
)
SELECT EXISTS (SELECT FROM gone UNION ALL SELECT FROM gone_pool)
"""


class AppStore:
    """Reads everything, and changes apps; each change names the row that it was made up from.

    Every method raises what Database raises, and those that change RegistryError.
    """

    def __init__(
        self, database: Database, keys: KeyRing, *, actor: str = "gateway", own: App | None = None
    ) -> None:
        """*own* is the environment's app, which no other alias may stand for."""
        self._database = database
        self._keys = keys
        self._changes = Changes(database, actor)
        self._own = own

    async def revision(self) -> int:
        """The number that every change makes another; one indexed row."""
        row = await self._database.fetchrow(_REVISION)
        return -1 if row is None else int(row["revision"])

    async def read(self) -> Registry:
        """All apps and pools as they are at one moment."""

        async def work(connection: Connection) -> tuple[int, list[Any], list[Any]]:
            await connection.execute(_ONE_MOMENT)
            revision = await connection.fetchval(_REVISION)
            return revision, await connection.fetch(_APPS), await connection.fetch(_POOLS)

        revision, apps, pools = await self._database.transaction(work)
        return Registry(
            revision,
            {row["alias"]: read_app(row, self._keys) for row in apps},
            {row["alias"]: read_pool(row) for row in pools},
        )

    async def history(self, alias: str, most: int) -> list[Change]:
        """The latest changes of an app or a pool, newest first."""
        return await self._changes.of(alias, most)

    def check(self, app: App) -> App:
        """The app as it would be stored, for those who look before they ask for more."""
        check_alias(app.alias)
        check_app_id(app.app_id)
        try:
            app = replace(app, domain=checked_domain(app.domain))
        except ValueError as error:
            raise RegistryError(f"the domain {error}") from error
        own = self._own
        if own is not None and (own.domain, own.app_id) == (app.domain, app.app_id):
            raise RegistryError(_twice(app, own.alias))
        check_keys(self._keys)
        return app

    async def add(self, app: App) -> None:
        """Store a new app, its secret sealed."""
        app = self.check(app)
        sealed = seal_secret(app, self._keys)

        async def work(connection: Connection, revision: int) -> None:
            await check_free(connection, app.alias)
            await _check_only_one(connection, app)
            row = (app.alias, app.app_id, sealed, app.kind, app.domain, app.status, revision)
            await connection.execute(_ADD, *row)

        await self._changes.make("add", app.alias, _told(app), work)

    async def set_secret(self, seen: StoredApp, app: App) -> None:
        """Replace the secret of the app by that of *app*."""
        sealed = seal_secret(app, self._keys)
        await self._change(seen, "set-secret", {}, _RESEAL, sealed)

    async def set_limits(self, seen: StoredApp, limits: Mapping[str, Any]) -> None:
        """Replace the app's own limits, in the form of the limits file; empty: the file counts.

        Raises LimitsError naming every mistake.
        """
        alias = seen.app.alias
        read_app_limits(alias, limits)
        written = orjson.dumps(limits).decode()
        await self._change(seen, "set-limits", {"limits": limits}, _NEW_LIMITS, written)

    async def enable(self, seen: StoredApp) -> None:
        """Have calls made again; an app that is being removed cannot come back."""
        await self._set_status(seen, "enable", AppStatus.ENABLED)

    async def disable(self, seen: StoredApp) -> None:
        """Have every call of the app refused."""
        await self._set_status(seen, "disable", AppStatus.DISABLED)

    async def remove(self, seen: StoredApp) -> None:
        """Give the app up: gateways empty its queues, and purge the row then."""
        await self._set_status(seen, "remove", AppStatus.REMOVED)

    async def purge(self, alias: str) -> bool:
        """Forget a removed app or pool whose queues are gone; False when there is none."""

        async def work(connection: Connection, _revision: int) -> None:
            if not await connection.fetchval(_PURGE, alias):
                raise _NothingToPurge

        try:
            await self._changes.make("purge", alias, {}, work)
        except _NothingToPurge:
            return False
        return True

    async def _set_status(self, seen: StoredApp, action: str, status: AppStatus) -> None:
        await self._change(seen, action, {}, _NEW_STATUS, status.value)

    async def _change(
        self, seen: StoredApp, action: str, details: Mapping[str, Any], sql: str, value: object
    ) -> None:
        alias = seen.app.alias
        if seen.app.status is AppStatus.REMOVED:
            raise RegistryError(f"the app {alias!r} is being removed")

        async def work(connection: Connection, revision: int) -> None:
            found = await connection.fetchval(_FOUND, alias)
            check_unchanged("app", alias, seen.revision, found)
            if action == "remove":
                await _check_in_no_pool(connection, alias)
            await connection.execute(sql, alias, revision, value)

        await self._changes.make(action, alias, details, work)


class _NothingToPurge(Exception):
    """Takes the change back."""


async def _check_only_one(connection: Connection, app: App) -> None:
    other = await connection.fetchval(_SAME_APP, app.domain, app.app_id)
    if other is not None:
        raise RegistryError(_twice(app, other))


def _twice(app: App, other: str) -> str:
    return (
        f"{app.app_id} is the app {other!r} already; two aliases of one app would each use the "
        "limits that Feishu gives it once"
    )


async def _check_in_no_pool(connection: Connection, alias: str) -> None:
    pools = [row["alias"] for row in await connection.fetch(_MEMBER_OF, alias)]
    if pools:
        raise RegistryError(
            f"the app {alias!r} is a member of the pool {pools[0]!r}; take it out first: "
            f"lark-service pool set {pools[0]} --apps …"
        )


def _told(app: App) -> dict[str, str]:
    return {"app_id": app.app_id, "domain": app.domain, "kind": app.kind, "status": app.status}
