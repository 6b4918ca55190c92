"""`lark-service secrets`: its commands."""

from __future__ import annotations

import typer

from .rotate import rotate_command
from .verify import verify_command

app = typer.Typer(
    help="Secrets at rest: bring them under the newest key, and check that they open.",
    no_args_is_help=True,
)
app.command("rotate")(rotate_command)
app.command("verify")(verify_command)
