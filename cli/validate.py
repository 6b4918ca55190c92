"""`lark-service config validate`: what can be said of the settings before any contact."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from dotenv import dotenv_values
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.app import build_parts
from gateway.environment import KEY_COMMAND, read_secrets, read_variables
from gateway.errors import ConfigError
from gateway.settings import Settings, load_settings

from .audit import Finding, findings_of
from .exits import FAILED


def validate(
    file: Annotated[
        Path | None, typer.Argument(help="Look at this file alone, not at the environment.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check as `check` does, and look for examples, weak secrets and slips; exit with 0 or 1."""
    environment: Mapping[str, str] = os.environ
    folder = Path.cwd()
    if file is not None:
        if not file.is_file():
            raise typer.BadParameter(f"{file} is no file")
        environment = {name: value or "" for name, value in dotenv_values(file).items()}
        # A path below which there is no .env.
        folder = Path(os.devnull)
    settings, findings = look(environment, folder)
    ok = not any(finding.is_mistake for finding in findings)
    if as_json:
        told = [{"name": f.name, "kind": f.kind, "message": f.message} for f in findings]
        values = None if settings is None else shown_settings(settings)
        sys.stdout.write(json.dumps({"ok": ok, "settings": values, "findings": told}) + "\n")
    else:
        _print(settings, findings)
    if not ok:
        raise typer.Exit(FAILED)


def look(environment: Mapping[str, str], folder: Path) -> tuple[Settings | None, list[Finding]]:
    """The effective settings, None where they cannot be used, and what there is to say of them."""
    settings, mistakes = None, []
    try:
        settings = load_settings(environment, folder)
        build_parts(settings)
    except ConfigError as error:
        settings, mistakes = None, str(error).splitlines()
    given = dict(environment) | read_variables(environment, folder)
    # The settings told the mistakes of files already, and the command is not run twice.
    command = given.pop(KEY_COMMAND, None)
    read_secrets(given, environment)
    if command is not None:
        given[KEY_COMMAND] = command
    return settings, findings_of(given, mistakes)


def shown_settings(settings: Settings) -> dict[str, str]:
    """Every setting by its variable, secrets masked whole."""
    return {
        str(field.alias): _shown(getattr(settings, name))
        for name, field in Settings.model_fields.items()
    }


def table_of(values: Mapping[str, str]) -> Table:
    """The same for people."""
    table = Table("setting", "value")
    for name, value in values.items():
        table.add_row(name, Text(value))
    return table


def _shown(value: object) -> str:
    if value is None:
        return "(not set)"
    return "********" if isinstance(value, SecretStr) else str(value)


def _print(settings: Settings | None, findings: list[Finding]) -> None:
    console = Console()
    if settings is not None:
        console.print(table_of(shown_settings(settings)))
    if not findings:
        sys.stdout.write("Nothing to mend.\n")
        return
    table = Table("variable", "what", "finding")
    for finding in findings:
        table.add_row(finding.name, finding.kind, Text(finding.message))
    console.print(table)
