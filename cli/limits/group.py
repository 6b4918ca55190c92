"""`lark-service limits`: the buckets in use now, and which limits hold for a call and why."""

from __future__ import annotations

import typer

from .explain import explain_command
from .show import show_command

app = typer.Typer(help="The buckets in use now; and which limits hold, for which calls, and why.")
app.callback(invoke_without_command=True)(show_command)
app.command("explain")(explain_command)
