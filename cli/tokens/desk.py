"""The apps and the stores of tokens, opened for one command."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from cli.apps.find import find_app
from cli.exits import USAGE, CommandFailed
from gateway import redis_client
from gateway.app_store import AppStore
from gateway.apps import App, AppKind, AppStatus, own_app
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.feishu import open_session
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.tokens.build import build_forced_renewals, build_token_pool
from gateway.tokens.forced import ForcedRenewals
from gateway.tokens.grant_registry import GrantRegistry
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grant_verdict import refusal_of
from gateway.tokens.grants import UserGrants
from gateway.tokens.postgres_tokens import PostgresTokens
from gateway.tokens.redis_tokens import RedisTokens
from gateway.tokens.stores import Found, StoreAway
from gateway.tokens.token import APP, TENANT, Credential, Holder, Token
from gateway.tokens.warmup import WarmUp

from .seen import Clocks, Seen


@dataclass(frozen=True, slots=True)
class Desk:
    """What token commands work on; nothing is contacted before it is used."""

    own: App
    database: Database
    apps: AppStore
    grants: GrantRegistry
    renewals: ForcedRenewals
    warm_up: WarmUp
    stores: Mapping[str, Callable[[Credential], Awaitable[Found]]]

    async def look(self, credential: Credential) -> Seen:
        """See what each store has; one that is away is named with the reason."""
        found: dict[str, Found] = {}
        away: dict[str, str] = {}
        for name, look in self.stores.items():
            try:
                found[name] = await look(credential)
            except StoreAway as error:
                away[name] = str(error)
            except GatewayError as error:
                away[name] = error.message
        return Seen.of(credential, found, away, Clocks(time.monotonic(), time.time()))

    async def all_apps(self) -> list[App]:
        """The environment's app and those of Postgres that are not removed; raises GatewayError."""
        registry = await self.apps.read()
        stored = [row.app for row in registry.apps.values()]
        return [self.own, *(app for app in stored if app.status is not AppStatus.REMOVED)]


async def chosen_app(settings: Settings, name: str | None) -> App:
    """The app that the command line names; the environment's where it names none.

    Raises CommandFailed where there is none of that name, or where Postgres is needed and away.
    """
    if name is not None:
        return await find_app(settings, name)
    async with open_desk(settings) as desk:
        try:
            apps = await desk.all_apps()
        except GatewayError:
            return desk.own
    if len(apps) > 1:
        aliases = ", ".join(app.alias for app in apps)
        raise CommandFailed(USAGE, f"There are several apps: name one with --app-id, of {aliases}.")
    return apps[0]


def holder_of(app: App, tenant: str | None, user: str | None) -> Holder:
    """Whose token is meant: the app's own, unless a tenant or a user is named."""
    if tenant and user:
        raise CommandFailed(USAGE, "Name a tenant or a user, not both.")
    if user:
        return Holder("user", user)
    if tenant and app.kind is not AppKind.STORE:
        raise CommandFailed(USAGE, f"The app {app.alias!r} is self-built and has one tenant.")
    if tenant:
        return Holder("tenant", tenant)
    return APP if app.kind is AppKind.STORE else TENANT


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Open all for one command; raises ConfigError where the key ring is none."""
    keys = KeyRing.of(settings.secret_key, settings.app_secret)
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url.get_secret_value(), max_size=2)
        stack.push_async_callback(database.close)
        redis = redis_client.connect(settings.redis_url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        session = await stack.enter_async_context(open_session(settings.feishu_ca_file))
        shared = (session, redis, database, keys)
        users = UserGrants.over(*shared, Metrics(), settings.oauth)
        stack.push_async_callback(users.close)
        pool = build_token_pool(*shared, Metrics(), users=users)
        stack.push_async_callback(pool.close)
        in_redis, in_postgres = RedisTokens(redis, keys), PostgresTokens(database, keys)
        grants = GrantStore(database, keys)

        async def look_in_postgres(credential: Credential) -> Found:
            if credential.durable_elsewhere:
                return await _granted(grants, credential)
            return await in_postgres.look(credential)

        own = own_app(settings)
        renewals = build_forced_renewals(*shared, pool, users=users)

        async def renew(credential: Credential) -> Token:
            return (await renewals.renew(credential)).token

        yield Desk(
            own,
            database,
            AppStore(database, keys, own=own),
            GrantRegistry(database, keys, actor=""),
            renewals,
            WarmUp(in_redis, in_postgres, renew),
            {"redis": in_redis.look, "postgres": look_in_postgres},
        )


async def _granted(grants: GrantStore, credential: Credential) -> Found:
    now = time.monotonic()
    grant = await grants.look(credential)
    if grant is None:
        return Found()
    failure = refusal_of(grant)
    if grant.access_token is None or grant.access_seconds <= 0:
        return Found(None, failure)
    issued_at = now - (grant.age or 0.0)
    return Found(
        Token(grant.access_token, credential, issued_at, now + grant.access_seconds), failure
    )
