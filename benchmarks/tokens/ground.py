"""Servers, a simulated Feishu and many apps, and what the ledgers of both ends say of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet, Gateway
from gateway.app_store import AppStore
from gateway.apps import App, AppKind
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.tokens.tickets import AppTickets
from sandbox.feishu.tokens import STORE_APP_TOKEN, STORE_TENANT_TOKEN, TENANT_TOKEN


@asynccontextmanager
async def ground(
    *sandbox_options: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Fleet]:
    """A fleet without gateways, where no rate limit binds on either side."""
    async with Fleet(
        site_limits=calls.WIDE,
        sandbox_options=("--no-limits", *sandbox_options),
        settings=settings,
    ) as fleet:
        yield fleet


def some_apps(
    fleet: Fleet, count: int, prefix: str = "app", kind: AppKind = AppKind.SELF_BUILT
) -> list[App]:
    """So many apps of the simulated Feishu's cloud, each with an id and a secret of its own."""
    return [
        App(
            f"{prefix}-{number:04}",
            f"cli_{prefix}{number:016}",
            SecretStr(f"secret of {prefix} {number}"),
            fleet.sandbox_url,
            kind,
        )
        for number in range(count)
    ]


@asynccontextmanager
async def database(fleet: Fleet) -> AsyncIterator[tuple[Database, KeyRing]]:
    """The fleet's Postgres with its schema, and the keys of what is sealed there."""
    environment = fleet.stack.environment()
    store = Database(environment["DATABASE_URL"])
    try:
        await store.migrate()
        yield store, KeyRing.from_text(environment["LARK_SERVICE_SECRET_KEY"])
    finally:
        await store.close()


async def add_apps(fleet: Fleet, apps: Iterable[App]) -> None:
    """Make the apps known to the simulated Feishu and to the gateways, store apps with a ticket."""
    async with database(fleet) as (store, keys):
        registry, tickets = AppStore(store, keys), AppTickets(store, keys)
        for app in apps:
            secret = app.secret.get_secret_value()
            await fleet.sandbox("apps", {"app_id": app.app_id, "secret": secret, "kind": app.kind})
            await registry.add(app)
            if app.kind is AppKind.STORE:
                pushed = await fleet.sandbox("tickets", {"app_id": app.app_id})
                await tickets.put(app, pushed["ticket"])


async def token_requests(fleet: Fleet, since: int = 0) -> Counter[str]:
    """How often a token of each credential was asked for, as the simulated Feishu noted.

    A credential is the app id, of a store app's tenant with its key behind a slash.
    """
    asked: Counter[str] = Counter()
    for name in (TENANT_TOKEN, STORE_APP_TOKEN, STORE_TENANT_TOKEN):
        method, _, template = name.partition(" ")
        query = {"method": method, "template": template, "limit": "200000", "since": str(since)}
        for entry in (await fleet.sandbox("ledger", **query))["entries"]:
            tenant = entry["tenant"] if name == STORE_TENANT_TOKEN else ""
            asked[f"{entry['app_id']}/{tenant}" if tenant else entry["app_id"]] += 1
    return asked


async def metric(gateways: Sequence[Gateway], name: str) -> Counter[tuple[str, ...]]:
    """The sum of a metric over the processes, by the values of its labels."""
    total: Counter[tuple[str, ...]] = Counter()
    for text in await asyncio.gather(*(gateway.metrics() for gateway in gateways)):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    total[tuple(sample.labels.values())] += sample.value  # type: ignore[assignment]
    return total
