"""`lark-service limits`: which limits hold, for which calls, and why."""

from __future__ import annotations

import typer

from .explain import explain_command

app = typer.Typer(help="Which limits hold, for which calls, and why.")
app.command("explain")(explain_command)


@app.callback(invoke_without_command=True)
def limits_command(context: typer.Context) -> None:
    """Which limits hold, for which calls, and why."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
