"""`lark-service app set-limits|enable|disable|remove`: what changes nothing at Feishu."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.exits import USAGE, CommandFailed
from cli.quiet import be_quiet
from gateway.app_rows import StoredApp
from gateway.app_store import AppStore
from gateway.catalogue import Catalogue
from gateway.settings import Settings, load_settings
from gateway.site_limits import LimitsError, load_limits_file, read_app_limits
from schemas.apis import ApiTable

from .find import stored_app
from .show import AsJson, Name
from .store import open_stores
from .words import Told, print_json, told_stored

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Change = Callable[[AppStore, StoredApp], Awaitable[None]]


def set_limits_command(
    name: Name,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", help="TOML as in [apps.<alias>] of the limits file, or - for input."
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Let the limits file count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace an app's own limits; they win over those of the limits file for this app."""
    be_quiet()
    if (file is None) is not clear:
        raise CommandFailed(USAGE, "Give either --file PATH or --clear.")
    limits = {} if file is None else _document(file)
    settings = load_settings()

    async def change(store: AppStore, seen: StoredApp) -> None:
        unlisted = _check(settings, seen.app.alias, limits)
        await store.set_limits(seen, limits)
        for api in unlisted:
            sys.stderr.write(f"Feishu's documentation does not list {api}: new, or misspelt?\n")

    told = asyncio.run(_changed(settings, name, change))
    done = "has no limits of its own any more" if clear else "has other limits"
    _say(told, f"{done}; every gateway keeps to that within a second", as_json)


def enable_command(name: Name, as_json: AsJson = False) -> None:
    """Make calls for an app again."""
    be_quiet()
    told = asyncio.run(_changed(load_settings(), name, AppStore.enable))
    _say(told, "is enabled; every gateway serves it within a second", as_json)


def disable_command(name: Name, as_json: AsJson = False) -> None:
    """Refuse every call of an app as `app_unavailable`, until it is enabled."""
    be_quiet()
    told = asyncio.run(_changed(load_settings(), name, AppStore.disable))
    _say(told, "is disabled; every gateway refuses its calls within a second", as_json)


def remove_command(name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Give an app up for good: its calls are refused, its queues emptied and deleted."""
    be_quiet()

    async def change(store: AppStore, seen: StoredApp) -> None:
        confirm(f"Remove the app {seen.app.alias} ({seen.app.app_id}) for good?", yes=yes)
        await store.remove(seen)

    told = asyncio.run(_changed(load_settings(), name, change))
    _say(told, "is removed; a gateway empties and deletes its queues", as_json)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless the answer was given; raises CommandFailed where nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(USAGE, "This cannot be undone: confirm it with --yes.")
    typer.confirm(question, abort=True, err=True)


async def _changed(settings: Settings, name: str, change: Change) -> Told:
    async with open_stores(settings) as stores:
        seen = stored_app(await stores.apps.read(), name)
        await change(stores.apps, seen)
        return told_stored((await stores.apps.read()).apps.get(seen.app.alias, seen))


def _document(file: str) -> Mapping[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise CommandFailed(USAGE, f"--file: {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandFailed(USAGE, f"--file: {file} is no TOML file: {error}.") from error


def _check(settings: Settings, alias: str, limits: Mapping[str, Any]) -> list[str]:
    """Find the API of every entry as a gateway would; return those that are not documented."""
    file = Catalogue(ApiTable.load(), load_limits_file(settings.limits_file))
    catalogue = file.with_apps({alias: read_app_limits(alias, limits)})
    if catalogue.left_out:
        raise LimitsError(catalogue.left_out[alias])
    return sorted(set(catalogue.unlisted) - set(file.unlisted))


def _say(told: Told, done: str, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "app": told})
    else:
        sys.stdout.write(f"{told['alias']} {done}.\n")
