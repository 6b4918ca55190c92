"""`lark-service pool`: several apps under one alias, for calls that any of them can make."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cli.apps.add import declare_queues
from cli.apps.change import Yes, confirm
from cli.apps.show import CHANGES, AsJson
from cli.apps.store import Stores, open_stores
from cli.apps.words import print_facts, print_json, told_change
from cli.broker import broker_url
from cli.exits import USAGE, CommandFailed
from cli.quiet import be_quiet
from gateway.app_rows import Registry, StoredPool
from gateway.settings import Settings, load_settings

app = typer.Typer(help="Pools: several apps under one alias.", no_args_is_help=True)

Alias = Annotated[str, typer.Argument(help="The pool's alias.")]
Members = Annotated[str, typer.Option("--apps", help="Aliases of its apps, separated by commas.")]


@app.command("add")
def add_command(alias: Alias, apps: Members, as_json: AsJson = False) -> None:
    """Add a pool of apps that there are, and declare its queues."""
    be_quiet()
    settings, url = load_settings(), broker_url()
    told = asyncio.run(_add(settings, alias, _listed(apps)))
    declare_queues(alias, url)
    _say(told, "is added; every gateway serves it within a second", as_json)


@app.command("set")
def set_command(alias: Alias, apps: Members, as_json: AsJson = False) -> None:
    """Replace the apps of a pool, while calls go on."""
    be_quiet()
    told = asyncio.run(_set(load_settings(), alias, _listed(apps)))
    _say(told, "has other apps; every gateway takes that up within a second", as_json)


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List all pools."""
    be_quiet()
    registry = asyncio.run(_read(load_settings()))
    pools = [_told(pool, registry) for pool in registry.pools.values()]
    if as_json:
        print_json({"ok": True, "pools": pools})
        return
    table = Table(*(Column(name, overflow="fold") for name in ("alias", "status", "apps")))
    for pool in pools:
        table.add_row(*map(Text, (pool["alias"], pool["status"], _members(pool))))
    Console().print(table)


@app.command("show")
def show_command(alias: Alias, as_json: AsJson = False) -> None:
    """Show one pool, its apps, and who changed it when."""
    be_quiet()
    pool, changes = asyncio.run(_one(load_settings(), alias))
    if as_json:
        print_json({"ok": True, "pool": pool, "changes": changes})
        return
    facts = {"alias": pool["alias"], "status": pool["status"], "apps": _members(pool)}
    print_facts(facts, changes)


@app.command("remove")
def remove_command(alias: Alias, yes: Yes = False, as_json: AsJson = False) -> None:
    """Give a pool up, not its apps: its queues are emptied and deleted."""
    be_quiet()
    told = asyncio.run(_remove(load_settings(), alias, yes=yes))
    _say(told, "is removed; a gateway empties and deletes its queues", as_json)


async def _add(settings: Settings, alias: str, members: list[str]) -> dict[str, Any]:
    async with open_stores(settings) as stores:
        await stores.pools.add(alias, members)
        return await _now(stores, alias)


async def _set(settings: Settings, alias: str, members: list[str]) -> dict[str, Any]:
    async with open_stores(settings) as stores:
        await stores.pools.set_members(_found(await stores.apps.read(), alias), members)
        return await _now(stores, alias)


async def _remove(settings: Settings, alias: str, *, yes: bool) -> dict[str, Any]:
    async with open_stores(settings) as stores:
        registry = await stores.apps.read()
        seen = _found(registry, alias)
        confirm(f"Remove the pool {alias} for good?", yes=yes)
        await stores.pools.remove(seen)
    return _told(seen, registry) | {"status": "removed"}


async def _read(settings: Settings) -> Registry:
    async with open_stores(settings) as stores:
        return await stores.apps.read()


async def _one(settings: Settings, alias: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with open_stores(settings) as stores:
        told = await _now(stores, alias)
        return told, [told_change(change) for change in await stores.apps.history(alias, CHANGES)]


async def _now(stores: Stores, alias: str) -> dict[str, Any]:
    registry = await stores.apps.read()
    return _told(_found(registry, alias), registry)


def _found(registry: Registry, alias: str) -> StoredPool:
    if alias not in registry.pools:
        raise CommandFailed(
            USAGE,
            f"No pool has the alias {alias[:64]!r}; see which there are: lark-service pool list",
        )
    return registry.pools[alias]


def _listed(apps: str) -> list[str]:
    return [alias.strip() for alias in apps.split(",") if alias.strip()]


def _told(stored: StoredPool, registry: Registry) -> dict[str, Any]:
    statuses = {alias: app.app.status.value for alias, app in registry.apps.items()}
    return {
        "alias": stored.pool.alias,
        "status": "removed" if stored.pool.removed else "enabled",
        "apps": [
            {"alias": alias, "status": statuses.get(alias, "enabled")}
            for alias in stored.pool.members
        ],
        "created_at": stored.created_at.isoformat(),
        "updated_at": stored.updated_at.isoformat(),
    }


def _members(pool: dict[str, Any]) -> str:
    return ", ".join(
        app["alias"] if app["status"] == "enabled" else f"{app['alias']} ({app['status']})"
        for app in pool["apps"]
    )


def _say(told: dict[str, Any], done: str, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "pool": told})
    else:
        sys.stdout.write(f"{told['alias']} {done}.\n")
