"""`lark-service app set-ticket`: hands in what Feishu pushed for a store app."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer

from cli.exits import USAGE, CommandFailed
from cli.quiet import be_quiet
from cli.secret_input import read_secret
from gateway.apps import App, AppKind
from gateway.settings import Settings, load_settings
from gateway.tokens.tickets import AppTickets, NoTicket, read_ticket

from .find import stored_app
from .store import open_stores


def set_ticket_command(
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="Its alias or app id.")],
    ticket_file: Annotated[
        str | None, typer.Option(help="File with the ticket; - is standard input.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Store the app ticket of a store app, alone or in the event as Feishu sends it.

    Calls that wait for it go on within seconds.
    """
    be_quiet()
    settings = load_settings()
    text = read_secret(ticket_file, "app ticket", "--ticket-file")
    app = asyncio.run(_store(settings, name, text))
    if as_json:
        shown = {"ok": True, "app": app.alias, "app_id": app.app_id}
        sys.stdout.write(json.dumps(shown) + "\n")
    else:
        sys.stdout.write(f"The ticket of {app.alias!r} is stored.\n")


async def _store(settings: Settings, name: str, text: str) -> App:
    async with open_stores(settings) as stores:
        app = stored_app(await stores.apps.read(), name).app
        if app.kind is not AppKind.STORE:
            raise CommandFailed(
                USAGE, f"The app {app.alias!r} is self-built; only apps of the store have tickets."
            )
        try:
            ticket = read_ticket(text, app.app_id)
        except NoTicket as error:
            sentence = str(error)
            raise CommandFailed(USAGE, f"{sentence[:1].upper()}{sentence[1:]}.") from None
        await AppTickets(stores.database, stores.keys).put(app, ticket)
        return app
