"""`lark-service token list`: every token that Postgres keeps, of apps, tenants and users."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import asyncpg
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.exits import CANNOT_REACH, CommandFailed
from cli.quiet import be_quiet
from gateway.apps import App
from gateway.errors import GatewayError
from gateway.settings import load_settings
from gateway.tokens.grant_rows import Listed
from gateway.tokens.token import APP, TENANT, Credential

from .desk import open_desk
from .seen import FINGERPRINT_DIGITS, KINDS

_TOKENS: Final = """
SELECT credential, app_id, kind, fingerprint, expires_at FROM tokens
WHERE expires_at > clock_timestamp() ORDER BY app_id, kind, expires_at
"""
_UNNAMED: Final = "of a tenant, or of a former secret"

Row = dict[str, Any]


def token_list(
    alias: Annotated[
        str | None, typer.Option("--app-id", "--app", help="Only those of this app.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every credential that has a token in Postgres, without the tokens."""
    be_quiet()
    rows = [row for row in asyncio.run(_rows()) if alias in (None, row["app"], row["app_id"])]
    if as_json:
        sys.stdout.write(json.dumps({"ok": True, "tokens": rows}, ensure_ascii=False) + "\n")
        return
    table = Table("app", "kind", "holder", "state", "expires at", "fingerprint")
    for row in rows:
        cells = (row["app"] or row["app_id"], row["kind"], row["holder"], row["state"])
        ends = (row["expires_at"] or "", row["fingerprint"] or "")
        table.add_row(*map(Text, (*cells, *ends)))
    Console().print(table)


async def _rows() -> list[Row]:
    async with open_desk(load_settings()) as desk:
        try:
            apps = await desk.all_apps()
            tokens = await desk.database.fetch(_TOKENS)
            grants = await desk.grants.list()
        except GatewayError as error:
            raise CommandFailed(CANNOT_REACH, f"{error.message}. Is DATABASE_URL right?") from error
    return [*of_tokens(tokens, apps), *of_grants(grants, apps)]


def of_tokens(tokens: Iterable[asyncpg.Record | Mapping[str, Any]], apps: list[App]) -> list[Row]:
    """Name whose each token is, as far as that is known: rows hold no tenant keys."""
    own = {Credential.of(app, holder).key: app for app in apps for holder in (TENANT, APP)}
    by_id = {app.app_id: app for app in apps}
    return [
        {
            "app": app.alias if (app := by_id.get(row["app_id"])) else None,
            "app_id": row["app_id"],
            "kind": KINDS[row["kind"]],
            "holder": "the app" if row["credential"] in own else _UNNAMED,
            "state": "valid",
            "expires_at": _told(row["expires_at"]),
            "fingerprint": row["fingerprint"].hex()[:FINGERPRINT_DIGITS],
        }
        for row in tokens
    ]


def of_grants(grants: Iterable[Listed], apps: list[App]) -> list[Row]:
    """The grants of users; their access tokens are not opened, and so have no fingerprint."""
    aliases = {(app.domain, app.app_id): app.alias for app in apps}
    return [
        {
            "app": aliases.get((grant.domain, grant.app_id)),
            "app_id": grant.app_id,
            "kind": KINDS["user"],
            "holder": grant.user_key,
            "state": grant.state,
            "expires_at": _told(grant.access_expires_at),
            "fingerprint": None,
        }
        for grant in grants
    ]


def _told(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
