"""Finds the app that a command line names."""

from __future__ import annotations

from cli.exits import USAGE, CommandFailed
from gateway.app_rows import Registry, StoredApp
from gateway.apps import DEFAULT_ALIAS, App, AppStatus, own_app
from gateway.settings import Settings

from .store import open_stores


async def find_app(settings: Settings, name: str) -> App:
    """The app of that alias or app id, `default` too; disabled ones and unreadable ones as well.

    Asks Postgres unless it is the environment's own. Raises CommandFailed.
    """
    own = own_app(settings)
    if name in (DEFAULT_ALIAS, own.app_id):
        return own
    async with open_stores(settings) as stores:
        return stored_app(await stores.apps.read(), name).app


def stored_app(registry: Registry, name: str) -> StoredApp:
    """The row of that alias or app id; raises CommandFailed where there is none, or several."""
    if name == DEFAULT_ALIAS:
        raise CommandFailed(
            USAGE,
            "The app 'default' is not stored: LARK_APP_ID, LARK_APP_SECRET and LARK_DOMAIN "
            "configure it, and LARK_SERVICE_LIMITS_FILE its limits.",
        )
    if name in registry.apps:
        return registry.apps[name]
    found = [
        stored
        for stored in registry.apps.values()
        if stored.app.app_id == name and stored.app.status is not AppStatus.REMOVED
    ]
    if not found:
        raise CommandFailed(
            USAGE,
            f"No app has the alias or the app id {name[:128]!r}; see which there are: "
            "lark-service app list",
        )
    if len(found) > 1:
        aliases = ", ".join(stored.app.alias for stored in found)
        raise CommandFailed(USAGE, f"Several apps have the app id {name}: name one of {aliases}.")
    return found[0]
