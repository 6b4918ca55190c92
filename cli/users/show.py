"""`lark-service user list|show|remove`: the grants that are stored."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from cli.apps.find import find_app
from cli.apps.store import open_stores
from cli.apps.words import print_json
from cli.exits import USAGE, CommandFailed
from cli.quiet import be_quiet
from gateway.apps import AppStatus, own_app
from gateway.settings import Settings, load_settings

from .desk import AppName, AsJson, UserKey, find_credential, open_desk
from .words import Told, print_grant, print_grants, told

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def list_command(
    app: Annotated[str | None, typer.Option("--app", help="Only those of this app.")] = None,
    as_json: AsJson = False,
) -> None:
    """List grants with state, scope and ends."""
    be_quiet()
    grants = asyncio.run(_grants(load_settings(), app, None))
    if as_json:
        print_json({"ok": True, "grants": grants})
    else:
        print_grants(grants)


def show_command(app: AppName, user: UserKey, as_json: AsJson = False) -> None:
    """Show one grant, and how its last refresh failed if it did."""
    be_quiet()
    grants = asyncio.run(_grants(load_settings(), app, user))
    if not grants:
        raise CommandFailed(USAGE, f"No grant of the user {user[:128]!r} is stored.")
    if as_json:
        print_json({"ok": True, "grant": grants[0]})
    else:
        print_grant(grants[0])


def remove_command(app: AppName, user: UserKey, yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a grant; calls in the user's name end as reauth_required within a second."""
    be_quiet()
    if not yes:
        typer.confirm(f"Remove the grant of {user}?", abort=True, err=True)
    if not asyncio.run(_remove(load_settings(), app, user)):
        raise CommandFailed(USAGE, f"No grant of the user {user[:128]!r} is stored.")
    if as_json:
        print_json({"ok": True, "user": user})
        return
    sys.stdout.write(
        f"The grant of {user} is removed here. Feishu still has it: only the user can take it "
        "back there.\n"
    )


async def _grants(settings: Settings, app: str | None, user: str | None) -> list[Told]:
    chosen = None
    if app is not None:
        found = await find_app(settings, app)
        chosen = (found.domain, found.app_id)
    aliases = await _aliases(settings)
    async with open_desk(settings) as desk:
        return [told(grant, aliases) for grant in await desk.registry.list(chosen, user)]


async def _aliases(settings: Settings) -> Mapping[tuple[str, str], str]:
    own = own_app(settings)
    async with open_stores(settings) as stores:
        stored = [row.app for row in (await stores.apps.read()).apps.values()]
    apps = [*(app for app in stored if app.status is not AppStatus.REMOVED), own]
    return {(app.domain, app.app_id): app.alias for app in apps}


async def _remove(settings: Settings, app: str, user: str) -> bool:
    credential = await find_credential(settings, app, user)
    async with open_desk(settings) as desk:
        return await desk.remove(credential)
