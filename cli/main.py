"""The command `lark-service`."""

from __future__ import annotations

import typer

from cli import stack

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)
app.add_typer(stack.app, name="stack")


def main() -> None:
    """Run the command line."""
    app()
