"""The Feishu applications that calls may be made for, by alias."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import SecretStr

from schemas.reply import ErrorType

from .errors import Refused

DEFAULT_ALIAS = "default"
"""The app that the environment configures."""


@dataclass(frozen=True, slots=True)
class App:
    """One self-built app; `domain` is scheme and host of its cloud, without a slash at the end."""

    alias: str
    app_id: str
    secret: SecretStr
    domain: str


class Apps:
    """The apps of this gateway."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._apps = {app.alias: app for app in apps}

    def get(self, alias: str) -> App:
        """Find an app; raises Refused as `unrouted` where there is none of that alias."""
        app = self._apps.get(alias)
        if app is None:
            raise Refused(ErrorType.UNROUTED, f"no app has the alias {alias[:64]!r}")
        return app

    def __iter__(self) -> Iterator[App]:
        return iter(self._apps.values())
