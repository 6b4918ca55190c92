"""Servers that the environment names, which the stack then neither starts nor stops."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

VARIABLES = {"rabbitmq": "RABBITMQ_URL", "redis": "REDIS_URL", "postgres": "DATABASE_URL"}


def given_urls(environment: Mapping[str, str]) -> dict[str, str]:
    """URL by server name for every server that the environment names."""
    urls = {
        server: environment[variable]
        for server, variable in VARIABLES.items()
        if environment.get(variable)
    }
    if "postgres" not in urls and environment.get("POSTGRES_HOST"):
        urls["postgres"] = _postgres_url(environment)
    return urls


def _postgres_url(environment: Mapping[str, str]) -> str:
    user = quote(environment.get("POSTGRES_USER", "lark"), safe="")
    password = quote(environment.get("POSTGRES_PASSWORD", ""), safe="")
    host = environment["POSTGRES_HOST"]
    port = environment.get("POSTGRES_PORT", "5432")
    database = quote(environment.get("POSTGRES_DB", "lark_service"), safe="")
    return f"postgresql://{user}:{password}@{host}:{port}/{database}"
