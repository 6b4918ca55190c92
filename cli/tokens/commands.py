"""`lark-service token info|status|refresh|validate`: tokens as the fleet shares them, never shown.

The same commands stand at the top as `token-info`, `refresh-token` and `validate`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from cli.apps.validation import Validation, validate_app
from cli.exits import APP_UNAVAILABLE, CANNOT_REACH, CREDENTIALS, FAILED, CommandFailed
from cli.quiet import be_quiet
from gateway.errors import GatewayError
from gateway.settings import load_settings
from gateway.tokens.forced import Renewed
from gateway.tokens.token import Credential
from schemas.reply import ErrorType

from .desk import chosen_app, holder_of, open_desk
from .seen import Clocks, Seen
from .show import print_one, table_of, words_of

AppName = Annotated[
    str | None,
    typer.Option("--app-id", "--app", help="App id or alias; not needed where there is one app."),
]
Tenant = Annotated[str | None, typer.Option(help="Tenant key: a store app's token in that tenant.")]
User = Annotated[str | None, typer.Option(help="User key: the token of that user's grant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_EXITS = {
    ErrorType.CREDENTIALS_INVALID: CREDENTIALS,
    ErrorType.REAUTH_REQUIRED: CREDENTIALS,
    ErrorType.APP_UNAVAILABLE: APP_UNAVAILABLE,
    ErrorType.FEISHU_UNAVAILABLE: CANNOT_REACH,
    ErrorType.STORE_UNAVAILABLE: CANNOT_REACH,
}


def token_info(
    app: AppName = None, tenant: Tenant = None, user: User = None, as_json: AsJson = False
) -> None:
    """Tell of a token its state, its end, its renewal and where it is; exit with 1 without one."""
    be_quiet()
    seen = asyncio.run(_look(app, tenant, user))
    if as_json:
        _print_json(seen.as_json())
    else:
        print_one(seen)
    if not seen.is_usable:
        raise typer.Exit(FAILED)


def token_status(as_json: AsJson = False) -> None:
    """Tell of the own token of every app; exit with 1 where the last request for one failed."""
    be_quiet()
    rows = asyncio.run(_look_at_all())
    failing = [seen for seen in rows if seen.failure is not None and not seen.is_usable]
    if as_json:
        _print_json({"ok": not failing, "tokens": [seen.as_json() for seen in rows]})
    else:
        Console().print(table_of(rows))
    if failing:
        raise typer.Exit(FAILED)


def refresh_token(
    app: AppName = None, tenant: Tenant = None, user: User = None, as_json: AsJson = False
) -> None:
    """Ask Feishu for a token now; every process takes it up within a second.

    Feishu gives out the same token again until half an hour of it is left.
    """
    be_quiet()
    renewed = asyncio.run(_renew(app, tenant, user))
    told = _told(renewed)
    if as_json:
        _print_json({"ok": True, **told})
        return
    sys.stdout.write(f"{told['app']} {told['fingerprint']}: {words_of(told)}\n")


def validate(app: AppName = None, as_json: AsJson = False) -> None:
    """Ask Feishu whether app id and secret are right; no stored token is read or changed."""
    be_quiet()
    validation = asyncio.run(_validate(app))
    if as_json:
        _print_json(validation.as_json())
    else:
        hint = f"\n→ {validation.hint}" if validation.hint else ""
        stream = sys.stderr if validation.exit_code else sys.stdout
        stream.write(f"{validation.app.alias}: {validation.verdict}: {validation.message}{hint}\n")
    raise typer.Exit(validation.exit_code)


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")


async def _look(name: str | None, tenant: str | None, user: str | None) -> Seen:
    settings = load_settings()
    app = await chosen_app(settings, name)
    credential = Credential.of(app, holder_of(app, tenant, user))
    async with open_desk(settings) as desk:
        seen = await desk.look(credential)
    if len(seen.away) == len(desk.stores):
        reasons = "; ".join(f"{store}: {reason}" for store, reason in seen.away.items())
        raise CommandFailed(CANNOT_REACH, f"No store of tokens can be asked. {reasons}")
    return seen


async def _look_at_all() -> list[Seen]:
    settings = load_settings()
    async with open_desk(settings) as desk:
        try:
            apps = await desk.all_apps()
        except GatewayError as error:
            raise CommandFailed(CANNOT_REACH, f"{error.message}. Is DATABASE_URL right?") from error
        own = (Credential.of(app, holder_of(app, None, None)) for app in apps)
        return await asyncio.gather(*map(desk.look, own))


async def _renew(name: str | None, tenant: str | None, user: str | None) -> Renewed:
    settings = load_settings()
    app = await chosen_app(settings, name)
    credential = Credential.of(app, holder_of(app, tenant, user))
    async with open_desk(settings) as desk:
        try:
            return await desk.renewals.renew(credential)
        except GatewayError as error:
            _fail(error)


def _fail(error: GatewayError) -> NoReturn:
    code = _EXITS.get(error.type, FAILED)
    hint = f"\n→ {error.hint}" if error.hint else ""
    raise CommandFailed(code, f"{error.message}{hint}") from error


def _told(renewed: Renewed) -> dict[str, Any]:
    clocks = Clocks(time.monotonic(), time.time())
    told = Seen(renewed.token.credential, renewed.token, (), None, {}, clocks).as_json()
    kept = ("app", "app_id", "kind", "holder", "expires_at", "remaining_seconds", "fingerprint")
    return {
        **{name: told[name] for name in kept},
        "unchanged": renewed.is_unchanged,
        "asked_seconds_ago": renewed.age,
    }


async def _validate(name: str | None) -> Validation:
    settings = load_settings()
    return await validate_app(await chosen_app(settings, name), settings.feishu_ca_file)
