"""Apps and pools as Postgres holds them, and what may become a row. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import SecretStr

from schemas.names import ALIAS

from .apps import DEFAULT_ALIAS, App, AppKind, AppStatus, Pool
from .crypto import KeyRing, Undecryptable, context
from .site_limits import AppLimits, LimitsError, read_app_limits

_APP_ID: Final = re.compile(r"[!-~]{1,128}")
_NO_KEY: Final = (
    "secrets are stored only under a key of their own: set LARK_SERVICE_SECRET_KEY, the same for "
    "every gateway process; make one with: openssl rand -hex 32"
)


class RegistryError(Exception):
    """A change of apps or pools that cannot be made; the message says why and what to do."""


class ChangedMeanwhile(RegistryError):
    """Somebody else changed the row after it was read; nothing was overwritten."""


@dataclass(frozen=True, slots=True)
class StoredApp:
    """An app's row; `limits` is as it was written, and empty where the limits file counts."""

    app: App
    limits: Mapping[str, Any]
    revision: int
    """The registry's revision when the row was last changed."""
    secret_changed_at: datetime
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredPool:
    """A pool's row."""

    pool: Pool
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Registry:
    """All rows at one moment, by alias; what is removed is there until its queues are empty."""

    revision: int
    apps: Mapping[str, StoredApp]
    pools: Mapping[str, StoredPool]


def read_app(row: Mapping[str, Any], keys: KeyRing) -> StoredApp:
    """Make an app of its row; one whose secret no key opens says so in `unreadable`."""
    alias = row["alias"]
    secret, unreadable = "", None
    try:
        secret = keys.open(row["secret"], _place(alias)).decode()
    except (Undecryptable, UnicodeDecodeError) as error:
        unreadable = str(error) if isinstance(error, Undecryptable) else "it is not UTF-8"
        if keys.derived:
            unreadable = "LARK_SERVICE_SECRET_KEY is not set in this process"
    app = App(
        alias,
        row["app_id"],
        SecretStr(secret),
        row["domain"],
        AppKind(row["kind"]),
        AppStatus(row["status"]),
        unreadable,
    )
    times = (row[name] for name in ("secret_changed_at", "created_at", "updated_at"))
    return StoredApp(app, orjson.loads(row["limits"]), row["revision"], *times)


def read_pool(row: Mapping[str, Any]) -> StoredPool:
    """Make a pool of its row."""
    pool = Pool(row["alias"], tuple(row["members"]), row["removed"])
    return StoredPool(pool, row["revision"], row["created_at"], row["updated_at"])


def limits_of(registry: Registry) -> tuple[dict[str, AppLimits], dict[str, str]]:
    """The own limits of apps, and why what somebody wrote past the commands is none, by alias."""
    limits, mistakes = {}, {}
    for alias, stored in registry.apps.items():
        try:
            if stored.limits:
                limits[alias] = read_app_limits(alias, stored.limits)
        except LimitsError as error:
            mistakes[alias] = str(error)
    return limits, mistakes


def seal_secret(app: App, keys: KeyRing) -> bytes:
    """Encrypt the app's secret for its row; raises RegistryError without a key of its own."""
    check_keys(keys)
    secret = app.secret.get_secret_value()
    if not secret or secret != secret.strip():
        raise RegistryError("an app secret is not empty and has no spaces around it")
    return keys.seal(secret.encode(), _place(app.alias))


def check_keys(keys: KeyRing) -> None:
    """Raise RegistryError where the only key comes from the app secret of the environment."""
    if keys.derived:
        raise RegistryError(_NO_KEY)


def check_alias(alias: str) -> None:
    """Raise RegistryError for what is no alias, or is the one of the environment's app."""
    if alias == DEFAULT_ALIAS:
        raise RegistryError(
            "the alias 'default' is the app that LARK_APP_ID and LARK_APP_SECRET configure; "
            "choose another, or change the environment"
        )
    if not ALIAS.fullmatch(alias):
        raise RegistryError(
            f"{alias[:64]!r} is no alias: write a-z 0-9 _ -, at most 64 characters, "
            "the first a letter or digit"
        )


def check_app_id(app_id: str) -> None:
    """Raise RegistryError for what cannot be an app id; which exist only Feishu knows."""
    if not _APP_ID.fullmatch(app_id):
        raise RegistryError("an app id is 1 to 128 characters without spaces, such as cli_a1b2c3")


def _place(alias: str) -> bytes:
    return context("postgres", "apps", alias.encode(), "secret")
