"""`lark-service producer`: which RabbitMQ user may call what."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit

import typer

from cli.apps.change import Yes
from cli.apps.show import AsJson
from cli.apps.store import open_stores
from cli.apps.words import print_json
from cli.exits import USAGE, CommandFailed
from cli.quiet import be_quiet
from gateway.catalogue import Catalogue
from gateway.producer_grant_rows import EVERY, Apis, Grant, as_documented, read_apis
from gateway.producer_grant_store import OpensOrCloses, ProducerGrantStore, StoredGrant
from gateway.registry_changes import operating_user
from gateway.settings import Settings, load_settings
from gateway.site_limits import load_limits_file
from schemas.apis import ApiTable

from .words import Told, print_grants, print_permissions, told_producer

CLOSES: Final = (
    "This is the first grant: from then on all that no grant allows is refused, to every producer."
)
OPENS: Final = "This takes the last grant: from then on every producer may call everything."

app = typer.Typer(help="Which RabbitMQ user may call what.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="The producer's RabbitMQ user.")]
ApiNames = Annotated[
    list[str] | None,
    typer.Option(
        "--api",
        help="'POST /open-apis/im/v1/messages', or 'GET /open-apis/contact/*' for all below a "
        "path; again for more. Without it: every API.",
    ),
]


@app.command("grant")
def grant_command(
    user: User,
    alias: Annotated[str, typer.Option("--app", help="The alias of an app or a pool.")],
    api: ApiNames = None,
    user_tokens: Annotated[
        bool, typer.Option("--user-tokens", help="In the name of users (`as`), too.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let a producer call APIs of an app or pool; with the first grant all else is refused."""
    be_quiet()
    settings = load_settings()

    async def grant() -> Told:
        async with _open(settings) as store:
            grants = [
                Grant(user, alias, apis, user_tokens) for apis in _documented(settings, api or [])
            ]
            try:
                await store.grant(grants, closes=yes)
            except OpensOrCloses:
                _agree(CLOSES)
                await store.grant(grants, closes=True)
            return told_producer(user, await store.read(), _vhost(settings))

    _say(asyncio.run(grant()), "every gateway goes by that within a second", as_json)


@app.command("revoke")
def revoke_command(
    user: User,
    alias: Annotated[
        str | None, typer.Option("--app", help="An app or a pool. Without it: all.")
    ] = None,
    api: ApiNames = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take grants from a producer; calls of it that still wait are refused, too."""
    be_quiet()
    settings = load_settings()
    if api and alias is None:
        raise CommandFailed(USAGE, "Say with --app for which app or pool --api is taken.")

    async def revoke() -> Told:
        async with _open(settings) as store:
            apis = [read_apis(name) for name in api or []]
            for each in [alias] if alias is not None else _aliases(user, await store.read()):
                try:
                    await store.revoke(user, each, apis, opens=yes)
                except OpensOrCloses:
                    _agree(OPENS)
                    await store.revoke(user, each, apis, opens=True)
            return told_producer(user, await store.read(), _vhost(settings))

    _say(asyncio.run(revoke()), "every gateway goes by that within a second", as_json)


@app.command("list")
def list_command(
    user: Annotated[str | None, typer.Argument(help="One producer alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the grants; of one producer also the RabbitMQ permissions that it needs."""
    be_quiet()
    settings = load_settings()

    async def read() -> list[StoredGrant]:
        async with _open(settings) as store:
            return await store.read()

    grants = asyncio.run(read())
    users = sorted({stored.grant.producer for stored in grants}) if user is None else [user]
    told = [told_producer(each, grants, _vhost(settings)) for each in users]
    if as_json:
        print_json({"ok": True, "enforced": bool(grants), "producers": told})
        return
    if user is not None and grants and not told[0]["grants"]:
        sys.stdout.write(f"{user} has no grant: all its calls are refused.\n")
    else:
        print_grants(told if grants else [])
    if user is not None:
        print_permissions(told[0])


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[ProducerGrantStore]:
    async with open_stores(settings) as stores:
        yield ProducerGrantStore(stores.database, actor=operating_user())


def _documented(settings: Settings, names: Sequence[str]) -> list[Apis]:
    """The APIs in the words of Feishu's documentation; says of which there is none."""
    wanted = [read_apis(name) for name in names or [EVERY]]
    catalogue = Catalogue(ApiTable.load(), load_limits_file(settings.limits_file))
    found = []
    for apis in wanted:
        apis, known = as_documented(apis, catalogue)
        found.append(apis)
        if not known:
            sys.stderr.write(f"Feishu's documentation does not list {apis}: new, or misspelt?\n")
    return found


def _aliases(user: str, grants: Sequence[StoredGrant]) -> list[str]:
    found = sorted({s.grant.alias for s in grants if s.grant.producer == user})
    if not found:
        raise CommandFailed(
            USAGE,
            f"The producer {user[:64]!r} has no grant; see which there are: "
            "lark-service producer list",
        )
    return found


def _agree(what: str) -> None:
    """Ask; raises CommandFailed where nobody can answer."""
    if not sys.stdin.isatty():
        raise CommandFailed(USAGE, f"{what} Confirm it with --yes.")
    typer.confirm(f"{what} Go on?", abort=True, err=True)


def _vhost(settings: Settings) -> str:
    path = urlsplit(settings.rabbitmq_url.get_secret_value()).path
    return unquote(path[1:]) or "/"


def _say(told: Told, done: str, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True} | told)
        return
    if told["grants"]:
        print_grants([told])
    sys.stdout.write(f"{told['producer']}: {len(told['grants'])} grants; {done}.\n")
    print_permissions(told)
