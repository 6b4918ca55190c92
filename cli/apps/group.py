"""`lark-service app`: its commands."""

from __future__ import annotations

import typer

from .add import add_command, set_secret_command, validate_command
from .change import disable_command, enable_command, remove_command, set_limits_command
from .set_ticket import set_ticket_command
from .show import list_command, show_command

app = typer.Typer(help="The apps that calls may be made for.", no_args_is_help=True)
app.command("add")(add_command)
app.command("list")(list_command)
app.command("show")(show_command)
app.command("set-secret")(set_secret_command)
app.command("set-ticket")(set_ticket_command)
app.command("set-limits")(set_limits_command)
app.command("enable")(enable_command)
app.command("disable")(disable_command)
app.command("remove")(remove_command)
app.command("validate")(validate_command)
