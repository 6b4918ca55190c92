"""App tickets, which Feishu pushes to a store app every hour and takes back for its tokens."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import orjson
import structlog

from gateway.apps import App
from gateway.crypto import KeyRing, Undecryptable, context
from gateway.database import Database, DatabaseUnavailable

EVENT: Final = "app_ticket"
"""The type of Feishu's event: /uAjLw4CM/ukTMukTMukTM/application-v6/event/app_ticket-events."""
_TICKET: Final = re.compile(r"[!-~]{1,1024}")
_SELECT: Final = "SELECT sealed FROM app_tickets WHERE alias = $1 AND app_id = $2"
_RECEIVED: Final = "SELECT received_at FROM app_tickets WHERE alias = $1 AND app_id = $2"
_UPSERT: Final = """
INSERT INTO app_tickets (alias, app_id, sealed) VALUES ($1, $2, $3)
ON CONFLICT (alias) DO UPDATE SET
    app_id = excluded.app_id, sealed = excluded.sealed, received_at = clock_timestamp()
"""

log = structlog.get_logger(__name__)


class NoTicket(ValueError):
    """What was handed in is no app ticket of this app; the message says why and what to do."""


class AppTickets:
    """Tickets in Postgres, sealed; the last one read is kept for when Postgres is away."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys
        self._known: dict[tuple[str, str], str] = {}

    async def put(self, app: App, ticket: str) -> None:
        """Keep the ticket in place of the one before; raises what Database raises."""
        sealed = self._keys.seal(ticket.encode(), _context(app.alias))
        await self._database.execute(_UPSERT, app.alias, app.app_id, sealed)

    async def received_at(self, app: App) -> datetime | None:
        """When the app's ticket was handed in, None where there is none; as Database raises."""
        row = await self._database.fetchrow(_RECEIVED, app.alias, app.app_id)
        return None if row is None else row["received_at"]

    async def get(self, app: App) -> str | None:
        """The app's ticket, None where there is none that can be read.

        Raises DatabaseUnavailable where none is known and Postgres is away.
        """
        place = (app.alias, app.app_id)
        try:
            row = await self._database.fetchrow(_SELECT, *place)
        except DatabaseUnavailable:
            if place not in self._known:
                raise
            return self._known[place]
        self._known.pop(place, None)
        if row is None:
            return None
        try:
            ticket = self._keys.open(row["sealed"], _context(app.alias)).decode()
        except Undecryptable as error:
            log.warning("stored ticket unreadable", app=app.alias, reason=str(error))
            return None
        self._known[place] = ticket
        return ticket


def read_ticket(text: str, app_id: str) -> str:
    """Take the ticket out of what an event receiver got, or of the ticket alone.

    Feishu's event may be of either version of its schema. Raises NoTicket, also for one that is
    meant for another app.
    """
    text = text.strip()
    ticket: Any = text
    if text.startswith("{"):
        ticket = _of_event(text, app_id)
    if not isinstance(ticket, str) or not _TICKET.fullmatch(ticket):
        raise NoTicket("this is no app ticket: it must be one word of printable ASCII characters")
    return ticket


def _of_event(text: str, app_id: str) -> Any:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise NoTicket("this begins like Feishu's event and is no JSON") from None
    if "encrypt" in document:
        raise NoTicket("this event is encrypted: hand it in as your event receiver decrypted it")
    event, header = document.get("event"), document.get("header")
    event, header = (part if isinstance(part, dict) else {} for part in (event, header))
    kind = header.get("event_type") or event.get("type")
    if kind != EVENT:
        raise NoTicket(f"this is no {EVENT} event of Feishu's")
    meant_for = event.get("app_id") or header.get("app_id")
    if meant_for != app_id:
        raise NoTicket(f"this event is for the app {str(meant_for)[:64]!r}, not for {app_id}")
    return event.get("app_ticket")


def _context(alias: str) -> bytes:
    return context("postgres", "app_tickets", alias.encode(), "sealed")
