"""The command `lark-service`."""

from __future__ import annotations

import sys
import traceback

import typer

from cli import config, sandbox, serve, stack, topology
from cli.call.command import call_command
from cli.demo.command import demo_command
from cli.exits import DEFECT, USAGE, CommandFailed
from cli.healthcheck import healthcheck_command
from gateway.errors import ConfigError

app = typer.Typer(
    help="An event-driven gateway to the Feishu (Lark) OpenAPI over RabbitMQ.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.serve_command)
app.command("call")(call_command)
app.command("demo")(demo_command)
app.command("healthcheck")(healthcheck_command)
app.add_typer(config.app, name="config")
app.add_typer(topology.app, name="topology")
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
    except CommandFailed as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(failure.code)
    except Exception:  # noqa: BLE001  whatever it is, it is ours to mend
        traceback.print_exc()
        sys.stderr.write("This is a defect in lark-service; please report the lines above.\n")
        sys.exit(DEFECT)
