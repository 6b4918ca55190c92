"""The command `lark-service`."""

from __future__ import annotations

import sys

import typer

from cli import config, sandbox, serve, stack
from cli.exits import CANNOT_REACH, USAGE
from consumers.connection import TRANSPORT_ERRORS
from gateway.errors import ConfigError

app = typer.Typer(
    help="An event-driven gateway to the Feishu (Lark) OpenAPI over RabbitMQ.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.serve_command)
app.add_typer(config.app, name="config")
app.add_typer(stack.app, name="stack")
app.add_typer(sandbox.app, name="sandbox")


def main() -> None:
    """Run the command line; a failure becomes a sentence and an exit code."""
    try:
        app()
    except ConfigError as error:
        for mistake in str(error).splitlines():
            sys.stderr.write(f"ConfigError: {mistake}\n")
        sys.exit(USAGE)
    except TRANSPORT_ERRORS as error:
        sys.stderr.write(f"Cannot reach RabbitMQ: {type(error).__name__}: {error}\n")
        sys.exit(CANNOT_REACH)
