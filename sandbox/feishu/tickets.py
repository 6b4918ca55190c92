"""App tickets of store apps, and the events that carry them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class StoreApp:
    """`ticket` is the only one that is taken, None until the first is pushed.

    `event_url` is where events are posted, empty for nowhere.
    """

    ticket: str | None = None
    event_url: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """An event on its way to an app's receiver."""

    url: str
    event: dict[str, Any]


class Tickets:
    """Who is a store app, and its ticket. Nothing here sends: `pushes` waits for who does."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.apps: dict[str, StoreApp] = {}
        self.pushes: list[Push] = []
        self._clock = clock

    def push(self, app_id: str) -> str:
        """Make a new ticket, as Feishu does every hour; raises ValueError for any other app."""
        app = self.apps.get(app_id)
        if app is None:
            raise ValueError(f"{app_id} is no store app")
        app.ticket = secrets.token_hex(16)
        if app.event_url:
            self.pushes.append(Push(app.event_url, self._event(app_id, app.ticket)))
        return app.ticket

    def shown(self) -> dict[str, str | None]:
        """The ticket of every store app."""
        return {app_id: app.ticket for app_id, app in self.apps.items()}

    def _event(self, app_id: str, ticket: str) -> dict[str, Any]:
        return {
            "ts": f"{self._clock():.7f}",
            "uuid": secrets.token_hex(16),
            "token": "sandbox-verification-token",
            "type": "event_callback",
            "event": {"app_id": app_id, "app_ticket": ticket, "type": "app_ticket"},
        }
