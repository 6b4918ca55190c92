"""`lark-service user`: its commands."""

from __future__ import annotations

import typer

from .authorize import authorize_url_command, exchange_command
from .bring import import_command
from .show import list_command, remove_command, show_command

app = typer.Typer(help="What users let apps do in their name.", no_args_is_help=True)
app.command("authorize-url")(authorize_url_command)
app.command("exchange")(exchange_command)
app.command("import")(import_command)
app.command("list")(list_command)
app.command("show")(show_command)
app.command("remove")(remove_command)
