"""The own token of every app: none yet is no trouble, one that cannot be had is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cli.tokens.desk import Desk, holder_of, open_desk
from cli.tokens.seen import Seen, State
from gateway.apps import App, AppStatus
from gateway.errors import ConfigError, GatewayError
from gateway.settings import load_settings
from gateway.tokens.token import Credential

from .check import Check, degraded, healthy


async def tokens() -> Sequence[Check]:
    """See what the stores have of each app that is enabled."""
    try:
        settings = load_settings()
    except ConfigError:
        return [degraded("tokens", "not known: the settings cannot be used")]
    async with open_desk(settings) as desk:
        apps, note = await _apps(desk)
        own = (Credential.of(app, holder_of(app, None, None)) for app in apps)
        rows = await asyncio.gather(*map(desk.look, own))
    return [of_seen(rows, note)]


async def _apps(desk: Desk) -> tuple[list[App], str]:
    try:
        apps = await desk.all_apps()
    except GatewayError:
        return [desk.own], " (Postgres cannot be asked for further apps)"
    return [app for app in apps if app.status is AppStatus.ENABLED], ""


def of_seen(rows: list[Seen], note: str = "") -> Check:
    """Judge all of them together."""
    usable = [seen.credential.app.alias for seen in rows if seen.is_usable]
    failing = [seen for seen in rows if seen.state is State.FAILING]
    facts = {"usable": usable, "failing": [seen.credential.app.alias for seen in failing]}
    message = f"{len(usable)} of {len(rows)} apps have one{note}"
    unreadable = [seen.credential.app for seen in rows if seen.credential.app.unreadable]
    if unreadable:
        facts["unreadable"] = [app.alias for app in unreadable]
        message += f"; the secret of {unreadable[0].alias!r} cannot be read"
        return degraded("tokens", message, "lark-service secrets verify", **facts)
    if failing:
        alias, failure = failing[0].credential.app.alias, failing[0].failure
        message += f"; {alias}: {failure.message if failure else 'failing'}"
        return degraded("tokens", message, f"lark-service validate --app-id {alias}", **facts)
    return healthy("tokens", message, **facts)
