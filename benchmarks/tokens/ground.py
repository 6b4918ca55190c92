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
from gateway.apps import App
from sandbox.feishu.tokens import TENANT_TOKEN

_AT_ONCE = 50


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


def some_apps(fleet: Fleet, count: int, prefix: str = "app") -> list[App]:
    """So many apps of the simulated Feishu's cloud, each with an id and a secret of its own."""
    return [
        App(
            f"{prefix}-{number:04}",
            f"cli_{prefix}{number:016}",
            SecretStr(f"secret of {prefix} {number}"),
            fleet.sandbox_url,
        )
        for number in range(count)
    ]


async def admit(fleet: Fleet, apps: Iterable[App]) -> None:
    """Let the simulated Feishu know these apps."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(app: App) -> None:
        async with gate:
            body = {"app_id": app.app_id, "secret": app.secret.get_secret_value()}
            await fleet.sandbox("apps", body)

    await asyncio.gather(*map(one, apps))


async def token_requests(fleet: Fleet) -> Counter[str]:
    """How often each app id asked for a tenant token, as the simulated Feishu noted."""
    method, _, template = TENANT_TOKEN.partition(" ")
    answer = await fleet.sandbox("ledger", method=method, template=template, limit="200000")
    return Counter(entry["app_id"] for entry in answer["entries"])


async def metric(gateways: Sequence[Gateway], name: str) -> Counter[tuple[str, ...]]:
    """The sum of a metric over the processes, by the values of its labels."""
    total: Counter[tuple[str, ...]] = Counter()
    for text in await asyncio.gather(*(gateway.metrics() for gateway in gateways)):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    total[tuple(sample.labels.values())] += sample.value  # type: ignore[assignment]
    return total
