"""`lark-service user import`: takes over a grant that another program has held so far."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
import typer

from cli.exits import USAGE, CommandFailed
from cli.quiet import be_quiet
from cli.secret_input import read_secret
from gateway.settings import Settings, load_settings
from gateway.tokens.endpoint import Unusable
from gateway.tokens.oauth import Pair, pair_of

from .authorize import say_stored
from .desk import AppName, AsJson, UserKey, find_credential, open_desk


def import_command(
    app: AppName,
    user: UserKey,
    file: Annotated[
        str | None,
        typer.Option("--file", help="File with the JSON document, or - for standard input."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store a grant from JSON with the fields of Feishu's own answer to a code.

    These are access_token, expires_in, refresh_token, refresh_token_expires_in, scope; the lives
    are the seconds left now. Whoever held the refresh token so far must not use it any more: it is
    good for one use.
    """
    be_quiet()
    pair = asyncio.run(_import(load_settings(), app, user, file))
    say_stored(user, pair, as_json=as_json)


async def _import(settings: Settings, app: str, user: str, file: str | None) -> Pair:
    credential = await find_credential(settings, app, user)
    async with open_desk(settings) as desk:
        desk.check_key()
        pair = read_pair(read_secret(file, "document with the tokens", "--file"))
        await desk.store(credential, pair, "user_imported")
    return pair


def read_pair(text: str) -> Pair:
    """Read the document; raises CommandFailed that shows nothing of it."""
    try:
        document: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise CommandFailed(USAGE, "The document with the tokens is no JSON object.")
    try:
        pair = pair_of(document)
    except Unusable:
        raise _wrong("access_token", "expires_in") from None
    if pair.refresh_token is None:
        raise _wrong("refresh_token", "refresh_token_expires_in")
    return pair


def _wrong(token: str, seconds: str) -> CommandFailed:
    return CommandFailed(
        USAGE,
        f"The document must have {token}, a token, and {seconds}, a positive number of whole "
        "seconds that it has left.",
    )
