"""One round of checks: who is asked, and what it means when nobody answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from cli.database import POSTGRES
from gateway.database import Database
from gateway.settings import Settings, load_settings

from . import broker, feishu, machine, stores
from .check import Check, Probe, Status, run_all
from .known_apps import known_aliases
from .tokens import tokens

QUICK: Final = frozenset({"database", "redis", "rabbitmq"})
ALL: Final = QUICK | {"api", "tokens", "config", "disk", "memory"}
_SERVERS: Final = {*POSTGRES, "REDIS_URL", "RABBITMQ_URL", "LARK_DOMAIN"}
_CLOSE_SECONDS: Final = 0.2
_STEP_SHARE: Final = 0.45
"""Of a check's time what one step to Feishu may take, so that the step that hangs is named."""

Probes = dict[str, Probe]


async def run_round(wanted: frozenset[str], seconds: float, *, quick: bool = False) -> list[Check]:
    """Ask all that is wanted at once; with *quick*, servers only whether they answer.

    No check takes longer than so many seconds.

    Raises ConfigError where the address of a server is none.
    """
    settings = load_settings(only=_SERVERS)
    database = Database(settings.database_url.get_secret_value(), max_size=3)
    try:
        probes = _probes(settings, database, seconds, quick=quick)
        asked = (probe for name, probe in probes.items() if name in wanted)
        return await run_all(asked, seconds)
    finally:
        await database.close(_CLOSE_SECONDS)


def _probes(settings: Settings, database: Database, seconds: float, *, quick: bool) -> Probes:
    url = settings.rabbitmq_url.get_secret_value()
    redis_url = settings.redis_url.get_secret_value()

    async def rabbitmq() -> Sequence[Check]:
        aliases = [] if quick else await known_aliases(database)
        return await broker.rabbitmq(url, aliases, quick=quick)

    async def topology() -> Sequence[Check]:
        return await broker.topology(url, await known_aliases(database))

    api = partial(feishu.api, settings.domain, seconds * _STEP_SHARE, settings.feishu_ca_file)
    asked: list[tuple[str, Callable[[], Awaitable[Sequence[Check]]], Status]] = [
        ("config", machine.config, Status.UNHEALTHY),
        ("rabbitmq", rabbitmq, Status.UNHEALTHY),
        ("topology", topology, Status.UNHEALTHY),
        ("redis", partial(stores.redis, redis_url), Status.DEGRADED),
        ("database", partial(stores.postgres, database, quick=quick), Status.DEGRADED),
        ("tokens", tokens, Status.DEGRADED),
        ("api", api, Status.UNHEALTHY),
        ("disk", machine.disk, Status.DEGRADED),
        ("memory", machine.memory, Status.DEGRADED),
    ]
    return {name: Probe(name, ask, late) for name, ask, late in asked}
