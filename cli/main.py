"""The command `lark-service`."""

from __future__ import annotations

import typer

from cli import sandbox, stack

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)
app.add_typer(stack.app, name="stack")
app.add_typer(sandbox.app, name="sandbox")


def main() -> None:
    """Run the command line."""
    app()
