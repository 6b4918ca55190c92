"""`lark-service config`: look at the settings before anything is contacted."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from consumers.app import build_parts
from gateway.settings import Settings, load_settings

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.callback()
def _settings() -> None:
    """The settings."""


@app.command()
def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Name every mistake at once, or show the effective settings, secrets masked."""
    settings = load_settings()
    build_parts(settings)
    values = {
        str(field.alias): _shown(getattr(settings, name))
        for name, field in Settings.model_fields.items()
    }
    if as_json:
        sys.stdout.write(json.dumps({"ok": True, "settings": values}) + "\n")
        return
    table = Table("setting", "value")
    for name, value in values.items():
        table.add_row(name, value)
    Console().print(table)


def _shown(value: object) -> str:
    if value is None:
        return "(not set)"
    return "********" if isinstance(value, SecretStr) else str(value)
