"""`lark-service user authorize-url|exchange`: from the user's browser to a stored grant."""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import Annotated

import typer

from cli.apps.find import find_app
from cli.apps.words import print_json
from cli.exits import APP_UNAVAILABLE, CANNOT_REACH, CREDENTIALS, FAILED, CommandFailed
from cli.quiet import be_quiet
from cli.secret_input import read_secret
from gateway.errors import AttemptFailed, GatewayError, NotNow
from gateway.feishu import open_session
from gateway.settings import Settings, load_settings
from gateway.tokens.oauth import MaybeSpent, OAuth, Pair, authorize_url
from gateway.tokens.token import Credential
from schemas.reply import ErrorType

from .desk import AppName, AsJson, UserKey, find_credential, open_desk

OFFLINE = "offline_access"
"""The scope without which Feishu gives no refresh token."""

RedirectUri = Annotated[
    str, typer.Option("--redirect-uri", help="As it stands in the app's security settings.")
]


def authorize_url_command(
    app: AppName,
    redirect_uri: RedirectUri,
    scope: Annotated[
        str, typer.Option("--scope", help=f"Scopes to ask for, with spaces; {OFFLINE} is added.")
    ] = OFFLINE,
    state: Annotated[
        str | None, typer.Option("--state", help="Comes back with the code; made up if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the page that the user is to open; its answer is a code for `user exchange`."""
    be_quiet()
    found = asyncio.run(find_app(load_settings(), app))
    scopes = list(dict.fromkeys([*scope.split(), OFFLINE]))
    state = state or secrets.token_urlsafe(16)
    url = authorize_url(found, redirect_uri=redirect_uri, scope=" ".join(scopes), state=state)
    if as_json:
        print_json({"ok": True, "url": url, "state": state})
        return
    sys.stdout.write(f"{url}\n")
    sys.stderr.write(
        "Feishu sends the browser to the redirect URI with ?code=…; the code is good for one use "
        "and for 5 minutes.\n"
    )


def exchange_command(
    app: AppName,
    user: UserKey,
    redirect_uri: Annotated[
        str | None,
        typer.Option("--redirect-uri", help="The one of the authorize URL, where it had one."),
    ] = None,
    code_file: Annotated[
        str | None,
        typer.Option("--code-file", help="File with the code, or - for standard input."),
    ] = None,
    code_verifier_file: Annotated[
        str | None,
        typer.Option("--code-verifier-file", help="File with the PKCE verifier, if one was used."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn an authorization code into a stored grant; every gateway uses it within a second."""
    be_quiet()
    settings = load_settings()
    pair = asyncio.run(
        _exchange(settings, app, user, redirect_uri, (code_file, code_verifier_file))
    )
    say_stored(user, pair, as_json=as_json)


def say_stored(user: str, pair: Pair, *, as_json: bool) -> None:
    """Tell that a grant is stored."""
    if as_json:
        ends = {"access_seconds": pair.access_seconds, "refresh_seconds": pair.refresh_seconds}
        print_json({"ok": True, "user": user, "scope": pair.scope, **ends})
        return
    days = pair.refresh_seconds / 86_400
    sys.stdout.write(
        f"The grant of {user} is stored, with the scope {pair.scope or '(none)'}. Every gateway "
        f"uses it within a second; without any call it lasts {days:.3g} days.\n"
    )


async def _exchange(
    settings: Settings,
    app: str,
    user: str,
    redirect_uri: str | None,
    files: tuple[str | None, str | None],
) -> Pair:
    credential = await find_credential(settings, app, user)
    async with open_desk(settings) as desk:
        # All that may fail before the code is spent, which is good for one use.
        desk.check_key()
        await desk.registry.check_writable()
        if reason := credential.app.unreadable:
            raise CommandFailed(FAILED, f"The secret of the app cannot be read: {reason}.")
        code_file, verifier_file = files
        code = read_secret(code_file, "authorization code", "--code-file")
        verifier = None
        if verifier_file is not None:
            verifier = read_secret(verifier_file, "code verifier", "--code-verifier-file")
        pair = await _ask(settings, credential, code, redirect_uri, verifier)
        if pair.refresh_token is None:
            raise CommandFailed(
                FAILED,
                "Feishu gave no refresh token, so the grant would end with its access token and "
                f"nothing was stored.\n→ ask for the scope {OFFLINE} and turn on refreshing in the "
                "app's security settings; then let the user authorize again with the URL of: "
                f"lark-service user authorize-url {app} --redirect-uri …",
            )
        await desk.store(credential, pair, "user_authorized")
    return pair


async def _ask(
    settings: Settings,
    credential: Credential,
    code: str,
    redirect_uri: str | None,
    verifier: str | None,
) -> Pair:
    try:
        async with open_session(settings.feishu_ca_file) as session:
            return await OAuth(session, settings.oauth).exchange(
                credential.app, code, redirect_uri=redirect_uri, code_verifier=verifier
            )
    except MaybeSpent as error:
        raise CommandFailed(
            CANNOT_REACH,
            f"{_sentence(error)}\n→ the code may be spent: try once more, and if Feishu says so "
            "let the user authorize again",
        ) from error
    except GatewayError as error:
        hint = f"\n→ {error.hint}" if error.hint else ""
        raise CommandFailed(_exit_of(error), _sentence(error) + hint) from error


def _exit_of(error: GatewayError) -> int:
    if isinstance(error, AttemptFailed | NotNow):
        return CANNOT_REACH
    if error.type is ErrorType.APP_UNAVAILABLE:
        return APP_UNAVAILABLE
    return CREDENTIALS if error.type is ErrorType.CREDENTIALS_INVALID else FAILED


def _sentence(error: GatewayError) -> str:
    code = f" (code {error.code})" if error.code is not None else ""
    return f"{error.message[:1].upper()}{error.message[1:]}{code}."
