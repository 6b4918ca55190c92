"""`lark-service config`: look at the settings before anything is contacted."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console

from consumers.app import build_parts
from gateway.environment import KEY, KEY_COMMAND
from gateway.settings import SECRETS, Settings, load_settings

from .validate import shown_settings, table_of, validate

COMPOSE_PASSWORDS = ("RABBITMQ_PASSWORD", "REDIS_PASSWORD", "POSTGRES_PASSWORD")

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.callback()
def _settings() -> None:
    """The settings."""


@app.command()
def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Name every mistake at once, or show the effective settings, secrets masked."""
    settings = load_settings()
    build_parts(settings)
    values = shown_settings(settings)
    if as_json:
        sys.stdout.write(json.dumps({"ok": True, "settings": values}) + "\n")
        return
    Console().print(table_of(values))


app.command()(validate)


@app.command()
def example() -> None:
    """Print every setting with its default, as `.env.example`."""
    sys.stdout.write(example_text())


def example_text() -> str:
    """The text of `.env.example`, made from the settings themselves."""
    lines = ["# Settings of lark-service: environment first, then .env.local, then .env.", ""]
    for field in Settings.model_fields.values():
        name = str(field.alias)
        lines += [f"# {line}" for line in textwrap.wrap(field.description or "", 98)]
        if name in SECRETS:
            lines.append(f"# Or {name}_FILE, the path of a file that holds it.")
        if name == KEY:
            lines.append(f"# Or {KEY_COMMAND}, a command that prints it; run without a shell.")
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        if field.is_required():
            lines.append(f"{name}=")
        else:
            lines.append(f"# {name}={'' if default is None else default}")
        lines.append("")
    lines.append("# For docker compose alone: the passwords of its servers, letters and digits.")
    lines += [f"# {name}=local-only" for name in COMPOSE_PASSWORDS]
    return "\n".join([*lines, ""])
