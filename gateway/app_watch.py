"""Keeps a process's apps, pools and their limits as Postgres has them, while calls are made."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import structlog

from .app_rows import Registry, StoredApp, limits_of
from .app_store import AppStore
from .apps import DEFAULT_ALIAS, App, Apps, AppStatus
from .dimensions import Dimensions
from .errors import GatewayError
from .metrics import Metrics
from .site_limits import AppLimits

LOOK_SECONDS: Final = 0.5

_Problem = tuple[str, str, str]
"""Event, alias and reason."""

log = structlog.get_logger()


class AppWatch:
    """Looks at the registry's revision twice a second, and reads all again where it is another.

    While Postgres is away everything stays as it was last read; at the start that is the app of the
    environment alone.
    """

    def __init__(
        self, store: AppStore, apps: Apps, dimensions: Dimensions, metrics: Metrics
    ) -> None:
        self._store = store
        self._apps = apps
        self._dimensions = dimensions
        self._file = dimensions.catalogue
        self._metrics = metrics
        self._revision: int | None = None
        self._own_limits: Mapping[str, AppLimits] = {}
        self._left_out: Mapping[str, str] = {}
        self._problems: set[_Problem] = set()
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Follow every change until cancelled."""
        answers = True
        while True:
            try:
                if await self._store.revision() != self._revision:
                    await self.reread()
                answers = True
            except GatewayError as error:
                if answers:
                    log.info("apps stay as last read", reason=error.message)
                answers = False
            await asyncio.sleep(LOOK_SECONDS)

    async def reread(self) -> None:
        """Read everything now: the keys, too, may be others. Raises what Database raises."""
        async with self._reading:
            registry = await self._store.read()
            await self._take_limits(registry)
            # The environment's app is as somebody else last put it.
            own = [app for app in self._apps if app.alias == DEFAULT_ALIAS]
            self._apps.replace(
                [*own, *(stored.app for stored in registry.apps.values())],
                [stored.pool for stored in registry.pools.values()],
            )
            self._revision = registry.revision
        log.info("apps read", revision=registry.revision, aliases=sorted(self._apps.aliases))
        self._warn(registry, own)
        self._count(registry)

    async def _take_limits(self, registry: Registry) -> None:
        """Take the apps' own limits, before calls of new apps come."""
        own, mistakes = limits_of(registry)
        if own != self._own_limits:
            # In a thread: it takes some hundredths of a second, which calls would notice.
            self._dimensions.replace(await asyncio.to_thread(self._file.with_apps, own))
            self._own_limits = own
        self._left_out = {**mistakes, **self._dimensions.catalogue.left_out}

    def _warn(self, registry: Registry, own: list[App]) -> None:
        """Say what is the matter with single apps, when it begins: a change reads all rows."""
        problems = {
            *(("limits of an app left out", *item) for item in self._left_out.items()),
            *_problems_of(registry, own),
        }
        known = {DEFAULT_ALIAS, *registry.apps}
        for alias in set(self._file.site.apps) - known:
            problems.add(("limits for an app that is not there", alias, self._file.site.source))
        for event, alias, reason in sorted(problems - self._problems):
            log.warning(event, app=alias, reason=reason)
        self._problems = problems

    def _count(self, registry: Registry) -> None:
        states = Counter(_state(stored) for stored in registry.apps.values())
        for state in (*AppStatus, "unreadable"):
            self._metrics.apps.labels(state).set(states[state])
        changed = self._metrics.app_secret_changed
        changed.clear()
        for alias, stored in registry.apps.items():
            changed.labels(alias).set(stored.secret_changed_at.timestamp())
        self._metrics.registry_revision.set(registry.revision)


def _state(stored: StoredApp) -> str:
    return "unreadable" if stored.app.unreadable is not None else stored.app.status


def _problems_of(registry: Registry, own: list[App]) -> Iterator[_Problem]:
    taken = {(app.domain, app.app_id) for app in own}
    for alias, stored in registry.apps.items():
        app = stored.app
        if app.unreadable is not None:
            yield "secret of an app unreadable", alias, app.unreadable
        if (app.domain, app.app_id) in taken and app.status is not AppStatus.REMOVED:
            yield "two aliases share the limits of one app", alias, app.app_id
