"""`lark-service app list|show`: which apps there are."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.quiet import be_quiet
from gateway.apps import DEFAULT_ALIAS, AppKind, own_app
from gateway.settings import Settings, load_settings
from gateway.tokens.tickets import AppTickets

from .find import stored_app
from .store import open_stores
from .words import (
    Told,
    pools_of,
    print_app,
    print_apps,
    print_json,
    told_change,
    told_own,
    told_stored,
    told_ticket,
)

CHANGES = 10
"""Entries of the record that are shown of one app."""

Name = Annotated[str, typer.Argument(help="Alias or app id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_command(as_json: AsJson = False) -> None:
    """List all apps: that of the environment, then those of Postgres."""
    be_quiet()
    apps = asyncio.run(_all(load_settings()))
    if as_json:
        print_json({"ok": True, "apps": apps})
    else:
        print_apps(apps)


def show_command(name: Name, as_json: AsJson = False) -> None:
    """Show one app, and who changed it when."""
    be_quiet()
    app, changes = asyncio.run(_one(load_settings(), name))
    if as_json:
        print_json({"ok": True, "app": app, "changes": changes})
    else:
        print_app(app, changes)


async def _all(settings: Settings) -> list[Told]:
    async with open_stores(settings) as stores:
        registry = await stores.apps.read()
    return [told_own(own_app(settings)), *map(told_stored, registry.apps.values())]


async def _one(settings: Settings, name: str) -> tuple[Told, list[Told]]:
    own = own_app(settings)
    async with open_stores(settings) as stores:
        registry = await stores.apps.read()
        if name in (DEFAULT_ALIAS, own.app_id):
            alias, app = own.alias, told_own(own)
        else:
            stored = stored_app(registry, name)
            alias, app = stored.app.alias, told_stored(stored)
            if stored.app.kind is AppKind.STORE:
                tickets = AppTickets(stores.database, stores.keys)
                app |= told_ticket(await tickets.received_at(stored.app))
        changes = [told_change(change) for change in await stores.apps.history(alias, CHANGES)]
    return app | {"pools": pools_of(registry, alias)}, changes
