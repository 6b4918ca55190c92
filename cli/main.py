"""The command `lark-service`."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from gateway.errors import ConfigError
from gateway.redaction import Redactor

from .exits import DEFECT, USAGE, CommandFailed

COMMANDS: Final = {
    "serve": "cli.serve:serve_command",
    "call": "cli.call.command:call_command",
    "demo": "cli.demo.command:demo_command",
    "healthcheck": "cli.healthcheck:healthcheck_command",
    "config": "cli.config:app",
    "health": "cli.health.command:health_command",
    "preflight": "cli.health.command:preflight_command",
    "db": "cli.db:app",
    "token": "cli.tokens.group:app",
    "token-info": "cli.tokens.commands:token_info",
    "refresh-token": "cli.tokens.commands:refresh_token",
    "validate": "cli.tokens.commands:validate",
    "secrets": "cli.secrets.group:app",
    "app": "cli.apps.group:app",
    "pool": "cli.pools.group:app",
    "user": "cli.users.group:app",
    "producer": "cli.producers.group:app",
    "limits": "cli.limits.group:app",
    "topology": "cli.topology:app",
    "stack": "cli.stack:app",
    "sandbox": "cli.sandbox:app",
}
"""Where each command is. It is imported when it is used: a probe must not load the gateway."""


class Commands(TyperGroup):
    """The commands of the table above."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            return typer.main.get_command(alone)
        group = typer.main.get_group(found)
        group.name = cmd_name
        return group


app = typer.Typer(
    cls=Commands,
    help="An event-driven gateway to the Feishu (Lark) OpenAPI over RabbitMQ.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _commands() -> None:
    """An event-driven gateway to the Feishu (Lark) OpenAPI over RabbitMQ."""


def main(*words: str) -> None:
    """Run the command line, after *words*; a failure becomes a sentence and an exit code."""
    try:
        app([*words, *sys.argv[1:]], prog_name="lark-service")
    except ConfigError as error:
        for mistake in str(error).splitlines():
            sys.stderr.write(f"ConfigError: {mistake}\n")
        sys.exit(USAGE)
    except CommandFailed as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(failure.code)
    except Exception:  # noqa: BLE001  whatever it is, it is ours to mend
        sys.stderr.write(Redactor().text(traceback.format_exc()))
        sys.stderr.write("This is a defect in lark-service; please report the lines above.\n")
        sys.exit(DEFECT)


if __name__ == "__main__":
    main()
