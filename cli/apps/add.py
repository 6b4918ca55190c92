"""`lark-service app add|set-secret|validate`: what has to do with an app's credentials."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Annotated

import typer
from pydantic import SecretStr

from cli.broker import broker_url
from cli.exits import USAGE, CommandFailed
from cli.quiet import be_quiet
from cli.secret_input import read_secret
from cli.topology import declare
from consumers.topology import Topology
from gateway.apps import App, AppKind
from gateway.settings import Settings, load_settings

from .find import find_app, stored_app
from .show import AsJson, Name
from .store import open_stores
from .validation import Validation, Verdict, validate_app
from .words import Told, print_json, told_stored

Alias = Annotated[str, typer.Argument(help="What producers call it: a-z 0-9 _ -, at most 64.")]
SecretFile = Annotated[
    str | None,
    typer.Option(help="A file with the app secret, - for standard input; else you are asked."),
]
NoValidate = Annotated[
    bool, typer.Option("--no-validate", help="Store it without asking Feishu whether it works.")
]


def add_command(
    alias: Alias,
    app_id: Annotated[str, typer.Option("--app-id", help="Feishu's App ID, cli_….")],
    secret_file: SecretFile = None,
    domain: Annotated[
        str | None, typer.Option(help="Another cloud than LARK_DOMAIN's, such as Lark's.")
    ] = None,
    kind: Annotated[
        AppKind, typer.Option(help="Whether a tenant built it, or Feishu's store offers it.")
    ] = AppKind.SELF_BUILT,
    no_validate: NoValidate = False,
    as_json: AsJson = False,
) -> None:
    """Add an app: ask Feishu whether its credentials work, store it, and declare its queues."""
    be_quiet()
    settings, url = load_settings(), broker_url()
    app = App(alias, app_id, SecretStr(""), domain or settings.domain, kind)
    validation, told = asyncio.run(_add(settings, app, secret_file, check=not no_validate))
    declare_queues(alias, url)
    if as_json:
        print_json({"ok": True, "app": told, "validation": _json_of(validation)})
        return
    sys.stdout.write(f"Added {alias} ({app_id}). Every gateway serves it within a second.\n")
    if kind is AppKind.STORE:
        sys.stdout.write(
            "Hand in the app ticket that Feishu pushes to the app's receiver of events: "
            f"lark-service app set-ticket {alias} --ticket-file -\n"
        )


def set_secret_command(
    name: Name,
    secret_file: SecretFile = None,
    no_validate: NoValidate = False,
    as_json: AsJson = False,
) -> None:
    """Replace an app's secret, after Feishu has taken the new one; calls go on meanwhile."""
    be_quiet()
    validation, told = asyncio.run(
        _set_secret(load_settings(), name, secret_file, check=not no_validate)
    )
    if as_json:
        print_json({"ok": True, "app": told, "validation": _json_of(validation)})
        return
    sys.stdout.write(
        f"The secret of {told['alias']} is replaced. Every gateway uses it within a second.\n"
    )


def validate_command(name: Name, as_json: AsJson = False) -> None:
    """Ask Feishu whether an app's credentials work; no stored token is read or changed.

    Exit codes: 0 they work, 3 they do not, 6 the app is disabled or not installed, 4 Feishu cannot
    be reached, 1 anything else.
    """
    be_quiet()
    validation = asyncio.run(_validate(load_settings(), name))
    if as_json:
        print_json(validation.as_json())
    else:
        stream = sys.stderr if validation.exit_code else sys.stdout
        stream.write(f"{validation.app.alias}: {_sentence(validation)}\n")
    raise typer.Exit(validation.exit_code)


async def _add(
    settings: Settings, app: App, secret_file: str | None, *, check: bool
) -> tuple[Validation | None, Told]:
    async with open_stores(settings) as stores:
        app = stores.apps.check(app)
        if settings.production and not app.domain.startswith("https://"):
            raise CommandFailed(USAGE, f"In production a domain begins https://, not {app.domain}.")
        app = replace(app, secret=_secret(secret_file))
        validation = await _checked(settings, app) if check else None
        await stores.apps.add(app)
        return validation, told_stored((await stores.apps.read()).apps[app.alias])


async def _set_secret(
    settings: Settings, name: str, secret_file: str | None, *, check: bool
) -> tuple[Validation | None, Told]:
    async with open_stores(settings) as stores:
        seen = stored_app(await stores.apps.read(), name)
        app = replace(seen.app, secret=_secret(secret_file), unreadable=None)
        validation = await _checked(settings, app) if check else None
        await stores.apps.set_secret(seen, app)
        return validation, told_stored((await stores.apps.read()).apps[app.alias])


async def _validate(settings: Settings, name: str) -> Validation:
    return await validate_app(await find_app(settings, name), settings.feishu_ca_file)


def _secret(file: str | None) -> SecretStr:
    return SecretStr(read_secret(file, "app secret", "--secret-file"))


async def _checked(settings: Settings, app: App) -> Validation:
    """Ask Feishu; raises CommandFailed where it does not take the credentials."""
    validation = await validate_app(app, settings.feishu_ca_file)
    if validation.verdict is not Verdict.OK:
        raise CommandFailed(
            validation.exit_code,
            f"Nothing was stored: {_sentence(validation)}\n→ --no-validate stores it unchecked",
        )
    return validation


def declare_queues(alias: str, url: str) -> None:
    """Let the queues be there before the first call; raises CommandFailed."""
    try:
        asyncio.run(declare(Topology.of([alias]), url))
    except CommandFailed as failure:
        raise CommandFailed(
            failure.code,
            f"{alias} is stored, but its queues are not declared: {failure}\n"
            "→ a gateway declares them when it runs, or: "
            f"lark-service topology apply --app {alias}",
        ) from failure


def _json_of(validation: Validation | None) -> Told | None:
    return None if validation is None else validation.as_json()


def _sentence(validation: Validation) -> str:
    hint = f"\n→ {validation.hint}" if validation.hint else ""
    return f"{validation.verdict}: {validation.message}{hint}"
