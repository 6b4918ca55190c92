"""`lark-service call`: make one call as any producer would, or show what would be sent."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from cli.broker import broker_url
from cli.exits import CREDENTIALS, DEFECT, FAILED, USAGE, CommandFailed
from cli.producer import Message, Reply, open_producer
from consumers.body import parse_call
from consumers.codec import Poison
from gateway.apps import DEFAULT_ALIAS
from gateway.errors import GatewayError
from gateway.settings import load_settings
from gateway.site_limits import load_limits_file
from schemas import names, reply
from schemas.call import Call, Retry
from schemas.names import Lane
from schemas.reply import ErrorType

from .fields import files_of, identity_of, mapping_of, written
from .options import Alias, Body, Method, Param, Path, Query, Words, request_of
from .preview import preview_of
from .shown import show_preview, show_reply

LONGEST_SECONDS = 86_400.0
_EXITS = {
    ErrorType.INVALID_CALL: USAGE,
    ErrorType.UNROUTED: USAGE,
    ErrorType.CREDENTIALS_INVALID: CREDENTIALS,
    ErrorType.APP_UNAVAILABLE: CREDENTIALS,
    ErrorType.REAUTH_REQUIRED: CREDENTIALS,
    ErrorType.INTERNAL: DEFECT,
}


def call_command(
    method: Method,
    path: Path,
    query: Query = [],  # noqa: B006  typer copies it
    param: Param = [],  # noqa: B006
    header: Annotated[
        Words, typer.Option("--header", "-H", help='"Name: value"; four names are allowed.')
    ] = [],  # noqa: B006
    body: Body = None,
    form: Annotated[Words, typer.Option("--form", help="key=value of a multipart form.")] = [],  # noqa: B006
    file: Annotated[Words, typer.Option("--file", help="field=path, a file of the form.")] = [],  # noqa: B006
    identity: Annotated[
        str, typer.Option("--as", help="tenant, app, none, user:KEY or tenant:KEY.")
    ] = "tenant",
    retry: Annotated[Retry, typer.Option(help="safe, never or always.")] = "safe",
    lane: Annotated[Lane, typer.Option(help="interactive or bulk.")] = "interactive",
    alias: Alias = DEFAULT_ALIAS,
    call_id: Annotated[
        str | None, typer.Option("--id", help="The call id; made up when not given.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, max=LONGEST_SECONDS, help="Seconds that the call has.")
    ] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the reply as it came, or the preview as JSON.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the HTTP request and contact nothing.")
    ] = False,
) -> None:
    """Make one call through RABBITMQ_URL and show its reply."""
    content = written(
        request_of(method, path, param, query, body)
        | {
            "headers": mapping_of("--header", header, separators=":="),
            "form": mapping_of("--form", form),
            "files": files_of(file),
            "as": identity_of(identity),
            "retry": retry,
        }
    )
    call_id = call_id or f"call-{uuid.uuid4()}"
    call = _checked(content, call_id, alias)
    if dry_run:
        _preview(call, call_id, alias, lane, as_json)
        return
    message = Message(call_id, content, timeout, alias, lane)
    arrived = asyncio.run(_made(message))
    if as_json:
        sys.stdout.buffer.write(arrived.body + b"\n")
    raise typer.Exit(_show(arrived, quiet=as_json))


def exit_code(type_: ErrorType) -> int:
    """How the command ends when a call ends with this error."""
    return _EXITS.get(type_, FAILED)


def checked_call(content: bytes, alias: str) -> Call:
    """Check a call by the gateway's own rules; raises CommandFailed."""
    if not names.ALIAS.fullmatch(alias):
        raise CommandFailed(USAGE, "--app: must be an alias of a-z 0-9 _ -, at most 64 characters")
    try:
        return parse_call(content)
    except Poison as poison:
        raise CommandFailed(exit_code(poison.type), f"{poison.type}: {poison.message}") from poison


async def _made(message: Message) -> Reply:
    async with open_producer(broker_url()) as producer:
        return await producer.call(message)


def _checked(content: bytes, call_id: str, alias: str) -> Call:
    """Check the call by the gateway's own rules, before anything is contacted."""
    if not names.CALL_ID.fullmatch(call_id):
        raise CommandFailed(USAGE, "--id: must be 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    return checked_call(content, alias)


def _preview(call: Call, call_id: str, alias: str, lane: Lane, as_json: bool) -> None:
    settings = load_settings(only={"LARK_DOMAIN", "LARK_SERVICE_LIMITS_FILE"})
    limits = load_limits_file(settings.limits_file)
    try:
        preview = preview_of(
            call, alias=alias, call_id=call_id, domain=settings.domain, limits=limits
        )
    except GatewayError as error:
        raise CommandFailed(exit_code(error.type), f"{error.type}: {error.message}") from error
    if as_json:
        sys.stdout.write(json.dumps(preview.as_json(), ensure_ascii=False) + "\n")
    else:
        show_preview(Console(), preview, lane)


def _show(arrived: Reply, *, quiet: bool) -> int:
    try:
        told = reply.Reply.model_validate_json(arrived.body)
    except ValidationError as error:
        raise CommandFailed(
            DEFECT, f"The reply breaks the contract: {arrived.body[:500]!r}"
        ) from error
    show_reply(Console(quiet=quiet), told, arrived.seconds)
    return 0 if told.error is None else exit_code(told.error.type)
