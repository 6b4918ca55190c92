"""The apps in Postgres for one command; what goes wrong becomes a sentence and an exit code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cli.database import open_database
from cli.exits import FAILED, USAGE, CommandFailed
from gateway.app_rows import ChangedMeanwhile, RegistryError
from gateway.app_store import AppStore
from gateway.apps import own_app
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.pool_store import PoolStore
from gateway.registry_changes import operating_user
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Stores:
    """What a command works on; `keys` opens the secrets that it reads."""

    apps: AppStore
    pools: PoolStore
    keys: KeyRing
    database: Database


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """Apps and pools, the schema brought up to date; raises CommandFailed, also for its block."""
    keys = KeyRing.of(settings.secret_key, settings.app_secret)
    actor = operating_user()
    async with open_database(settings) as database:
        await database.migrate()
        apps = AppStore(database, keys, actor=actor, own=own_app(settings))
        try:
            yield Stores(apps, PoolStore(database, actor=actor), keys, database)
        except ChangedMeanwhile as error:
            raise CommandFailed(FAILED, _sentence(error)) from error
        except RegistryError as error:
            raise CommandFailed(USAGE, _sentence(error)) from error


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
