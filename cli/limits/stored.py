"""What Postgres holds of limits, for commands that do without it where it is away."""

from __future__ import annotations

from dataclasses import dataclass

from cli.database import POSTGRES, open_database
from cli.exits import CommandFailed
from gateway.app_rows import limits_of
from gateway.app_store import AppStore
from gateway.catalogue import Catalogue
from gateway.crypto import KeyRing
from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.site_limits import load_limits_file
from schemas.apis import ApiTable

NEEDED = POSTGRES | {"LARK_DOMAIN", "LARK_SERVICE_LIMITS_FILE"}
"""The settings that decide."""


@dataclass(frozen=True, slots=True)
class Known:
    """The limits that hold, the domains of apps in Postgres, and why it was not asked if so."""

    catalogue: Catalogue
    domains: dict[str, str]
    away: str | None = None


async def known_limits(settings: Settings) -> Known:
    """The limits of the file, and before them those that Postgres holds for single apps."""
    file = file_limits(settings)
    # Secrets are none of its business: with this ring it opens none.
    keys = KeyRing.derived_from("none")
    try:
        async with open_database(settings) as database:
            registry = await AppStore(database, keys).read()
    except CommandFailed as failure:
        return Known(file, {}, str(failure))
    except GatewayError as error:
        return Known(file, {}, error.message)
    own, mistakes = limits_of(registry)
    catalogue = file.with_apps(own)
    away = "\n".join((*mistakes.values(), *catalogue.left_out.values())) or None
    domains = {alias: stored.app.domain for alias, stored in registry.apps.items()}
    return Known(catalogue, domains, away)


def file_limits(settings: Settings) -> Catalogue:
    """The limits of the file alone."""
    return Catalogue(ApiTable.load(), load_limits_file(settings.limits_file))
