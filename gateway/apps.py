"""The Feishu applications and pools that calls may be made for, by alias. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import SecretStr

from schemas.reply import ErrorType

from .errors import NotNow, Refused
from .settings import Settings

DEFAULT_ALIAS = "default"
"""The app that the environment configures."""
_UNREADABLE_SECONDS = 5.0


class AppKind(StrEnum):
    """Who installs the app: its own tenant, or any tenant out of Feishu's store."""

    SELF_BUILT = "self_built"
    STORE = "store"


class AppStatus(StrEnum):
    """Whether calls are made for the app. What is removed still empties its queues."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class App:
    """One app; `domain` is scheme and host of its cloud, without a slash at the end."""

    alias: str
    app_id: str
    secret: SecretStr
    domain: str
    kind: AppKind = AppKind.SELF_BUILT
    status: AppStatus = AppStatus.ENABLED
    unreadable: str | None = field(default=None, compare=False)
    """Why the stored secret cannot be read; the secret is empty then."""


def own_app(settings: Settings) -> App:
    """The app of the environment."""
    return App(DEFAULT_ALIAS, settings.app_id, settings.app_secret, settings.domain)


@dataclass(frozen=True, slots=True)
class Pool:
    """Several apps under one alias, for calls that any of them can make."""

    alias: str
    members: tuple[str, ...]
    removed: bool = False
    """Nothing is called for it any more; what is left of it are queues to empty."""


class Apps:
    """The apps and pools of this gateway, as last read; they change while the process runs."""

    def __init__(self, apps: Iterable[App], pools: Iterable[Pool] = ()) -> None:
        self._apps: Mapping[str, App] = {app.alias: app for app in apps}
        self._pools: Mapping[str, Pool] = {pool.alias: pool for pool in pools}
        self._listeners: list[Callable[[], None]] = []

    def replace(self, apps: Iterable[App], pools: Iterable[Pool] = ()) -> None:
        """Take these for all that there are, and tell who wants to know."""
        self._apps = {app.alias: app for app in apps}
        self._pools = {pool.alias: pool for pool in pools}
        for listener in self._listeners:
            listener()

    def put(self, app: App) -> None:
        """Take this for the app of its alias, and leave all others; who wants to know is told."""
        self.replace([*(other for other in self if other.alias != app.alias), app], self.pools)

    def current(self, app: App) -> App:
        """The app as it is now, with the secret that it has now; itself where it is gone."""
        return self._apps.get(app.alias, app)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have this called after each `replace`."""
        self._listeners.append(listener)

    @property
    def aliases(self) -> frozenset[str]:
        """All that have queues of their own: apps and pools that are not removed."""
        return frozenset((*self._apps, *self._pools)) - self.removed

    @property
    def removed(self) -> frozenset[str]:
        """Apps and pools whose queues are to be emptied and deleted, before they are purged."""
        apps = (app.alias for app in self if app.status is AppStatus.REMOVED)
        return frozenset((*apps, *(pool.alias for pool in self._pools.values() if pool.removed)))

    def get(self, alias: str) -> App:
        """Find an app that calls can be made for now.

        Raises what `find` raises, and NotNow where its secret cannot be read.
        """
        app = self.find(alias)
        if app.unreadable is not None:
            raise NotNow(
                ErrorType.STORE_UNAVAILABLE,
                f"the secret of the app {alias!r} cannot be read: {app.unreadable}",
                retry_after=_UNREADABLE_SECONDS,
            )
        return app

    def find(self, alias: str) -> App:
        """Find an app that takes calls, though they may have to wait.

        Raises Refused as `unrouted` where there is none of that alias and as `app_unavailable`
        where it is disabled.
        """
        app = self._apps.get(alias)
        if app is None or app.status is AppStatus.REMOVED:
            raise Refused(ErrorType.UNROUTED, f"no app has the alias {alias[:64]!r}")
        if app.status is AppStatus.DISABLED:
            raise Refused(
                ErrorType.APP_UNAVAILABLE,
                f"the app {alias!r} is disabled in the gateway",
                hint=f"lark-service app enable {alias}",
            )
        return app

    def known(self, alias: str) -> App | None:
        """The app of that alias, though it may be disabled or its queues be being emptied."""
        return self._apps.get(alias)

    def pool(self, alias: str) -> Pool | None:
        """The pool of that alias, where it is one and not removed."""
        pool = self._pools.get(alias)
        return None if pool is None or pool.removed else pool

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All pools, also those that are removed."""
        return tuple(self._pools.values())

    def __iter__(self) -> Iterator[App]:
        return iter(self._apps.values())
