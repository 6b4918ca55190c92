"""What the control endpoint shows of a world."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from . import limit_settings
from .ledger import Capture
from .magic import MAGIC_IDS
from .oauth_control import OAuthControl
from .subjects import RECEIVERS
from .token_endpoints import TOKEN_REQUESTS
from .tokens import fingerprint
from .world import World

Query = Mapping[str, str]

_NARROWING = ("method", "template", "app_id", "tenant", "key", "body_hash", "status", "code")


class Reports:
    """Read-only views, as values that JSON can carry; wrong numbers in a query raise ValueError."""

    def __init__(self, world: World) -> None:
        self._world = world

    def by_name(self) -> Mapping[str, Callable[[Query], Any]]:
        return {
            "state": self.state,
            "stats": self.stats,
            "ledger": self.ledger,
            "requests": self.requests,
            "effects": self.effects,
            "messages": self.messages,
            "cards": self.cards,
            "magic": self.magic,
            "tickets": self.tickets,
            "oauth": OAuthControl(self._world.oauth).shown,
        }

    def state(self, _: Query) -> dict[str, Any]:
        world = self._world
        return {
            "apps": sorted(world.tokens.apps),
            "store_apps": sorted(world.tickets.apps),
            "tokens": {"life": world.tokens.life, "renew_below": world.tokens.renew_below},
            "limits": limit_settings.shown(world),
            "latency": {"ms": world.latency_ms, "jitter_ms": world.jitter_ms}
            | world.network.shown(),
            "faults": [
                {"method": r.method, "template": r.template, "left": r.count - r.hits}
                for r in world.script.rules
            ],
        }

    def stats(self, query: Query) -> dict[str, Any]:
        world, ledger = self._world, self._world.ledger
        series = query.get("series") == "1"
        stats = {
            "requests": ledger.requests,
            "total": ledger.requests.total(),
            "statuses": ledger.statuses,
            "codes": ledger.codes,
            "token_requests": sum(ledger.requests[name] for name in TOKEN_REQUESTS),
            "tokens_issued": world.tokens.issued,
            "effects": ledger.effects.total(),
            "limits": world.limits.statistics(series=series),
            "subjects": world.subjects.statistics(int(query.get("top", 20))),
            "quota": world.admission.quota.statistics(),
            "chat_rejections": world.subjects.rejected(RECEIVERS),
        }
        return stats | {"refusals": world.admission.refusals.shown()} if series else stats

    def ledger(self, query: Query) -> dict[str, Any]:
        wanted = {name: query[name] for name in _NARROWING if name in query}
        number = int(query["log_id"][-12:], 16) if "log_id" in query else None
        since = int(query.get("since", 0)) if number is None else number - 1
        entries = [
            entry
            for entry in self._world.ledger.entries(since)
            if all(str(entry[name]) == value for name, value in wanted.items())
            and number in (None, entry["number"])
        ]
        limit = int(query.get("limit", 1000))
        return {"last_number": self._world.ledger.last_number, "entries": entries[-limit:]}

    def requests(self, query: Query) -> list[dict[str, Any]]:
        captures = list(self._world.ledger.captures)
        if "number" in query:
            captures = [each for each in captures if each.number == int(query["number"])]
        return [_shown(each) for each in captures[-int(query.get("last", 10)) :]]

    def effects(self, query: Query) -> dict[str, int]:
        effects = self._world.ledger.effects
        if "key" in query:
            return {query["key"]: effects[query["key"]]}
        least = 2 if query.get("repeated") == "1" else 1
        return {key: count for key, count in effects.items() if count >= least}

    def messages(self, query: Query) -> list[dict[str, Any]]:
        stored = self._world.messages.stored
        return stored(query.get("receive_id", ""), int(query.get("limit", 100)))

    def cards(self, query: Query) -> dict[str, dict[str, Any]]:
        return self._world.cards.shown(int(query.get("limit", 100)))

    def tickets(self, _: Query) -> dict[str, str | None]:
        return self._world.tickets.shown()

    def magic(self, _: Query) -> list[dict[str, str]]:
        return [{"id": row.name, "effect": row.effect} for row in MAGIC_IDS]


def _shown(capture: Capture) -> dict[str, Any]:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in capture.headers]
    for header in headers:
        if header[0].lower() == "authorization":
            header[1] = f"Bearer <{fingerprint(header[1].removeprefix('Bearer '))}>"
    body: dict[str, str] = {}
    if capture.body:
        try:
            body = {"body": capture.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(capture.body).decode()}
    shown = {"number": capture.number, "method": capture.method, "target": capture.target}
    return {**shown, "headers": headers, **body}
