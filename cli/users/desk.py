"""The grants of one command; what goes wrong becomes a sentence and an exit code."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from cli.apps.find import find_app
from cli.database import open_database
from cli.exits import USAGE, CommandFailed
from gateway import redis_client
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.registry_changes import operating_user
from gateway.settings import Settings
from gateway.tokens.grant_registry import GrantRegistry
from gateway.tokens.oauth import Pair
from gateway.tokens.redis_tokens import RedisTokens
from gateway.tokens.stores import StoreAway
from gateway.tokens.successors import Successors
from gateway.tokens.token import Credential, Holder

MOST_NAME = 256

AppName = Annotated[str, typer.Argument(metavar="APP", help="Alias or app id.")]
UserKey = Annotated[
    str,
    typer.Argument(
        metavar="USER_KEY", help='What producers write in "as": {"user": …}, such as an open_id.'
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works on."""

    registry: GrantRegistry
    redis: RedisTokens
    successors: Successors
    keys: KeyRing

    async def store(self, credential: Credential, pair: Pair, action: str) -> None:
        """Store a grant and let every process take it up."""
        await self.registry.put(credential, pair, action)
        await self._forget(credential)

    async def remove(self, credential: Credential) -> bool:
        """Remove a grant everywhere; False where there was none."""
        found = await self.registry.remove(credential)
        await self._forget(credential)
        await self.successors.forget(credential)
        return found

    def check_key(self) -> None:
        """Refuse to store what a changed app secret would make unreadable."""
        if self.keys.derived:
            raise CommandFailed(
                USAGE,
                "A user grant is stored only under a key of its own: set LARK_SERVICE_SECRET_KEY "
                "in every process. Make one with: openssl rand -hex 32",
            )

    async def _forget(self, credential: Credential) -> None:
        try:
            await self.redis.forget(credential)
        except StoreAway as error:
            sys.stderr.write(
                f"Redis cannot be reached ({error}): gateways may use the former token of this "
                "user until it ends, two hours at most.\n"
            )


async def find_credential(settings: Settings, app: str, user: str) -> Credential:
    """The user's credential at that app; raises CommandFailed."""
    if not 1 <= len(user) <= MOST_NAME:
        raise CommandFailed(USAGE, f"USER_KEY: must have 1 to {MOST_NAME} characters.")
    return credential_of(await find_app(settings, app), user)


def credential_of(app: App, user: str) -> Credential:
    """The user's credential at this app."""
    return Credential.of(app, Holder("user", user))


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Connections that are made when first used, the schema up to date; raises CommandFailed."""
    keys = KeyRing.of(settings.secret_key, settings.app_secret)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        redis = redis_client.connect(settings.redis_url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        await database.migrate()
        registry = GrantRegistry(database, keys, actor=operating_user())
        yield Desk(registry, RedisTokens(redis, keys), Successors(redis, keys), keys)
