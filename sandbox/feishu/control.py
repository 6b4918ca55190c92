"""The control endpoint, `/_sandbox/…`: JSON in and out, no bearer token, not in the ledger.

GET  state       configuration, apps, scripted faults still to come
GET  stats       counters: requests by API, answers by status and code, tokens issued, effects;
                 limits: per app and API accepted, rejected, most in any window (accepted by the
                 API's own limit: a subject or a fault may still refuse); subjects: per kind of
                 receiver, document, table, drive the same, and the `top` (20) most used; quota;
                 `series=1` adds per_second and per_minute [start, accepted, rejected] of the last
                 3,600 busy seconds to every limit, and refusals: the last 1,000 of all limits with
                 time, API, kind and subject
GET  ledger      entries; `since`, `limit` (the newest so many), `method`, `template`, `app_id`,
                 `tenant`, `key`, `body_hash`, `status`, `code`, `log_id` narrow it
GET  requests    the last requests in full (`last`, `number`); bearer tokens as fingerprints
GET  effects     how often each idempotency key (without one: body hash) took effect;
                 `repeated=1` shows only those above one, `key` one of them
GET  messages    stored messages; `receive_id`, `limit`
GET  cards       cards with their sequence, updates and refused updates; `limit`
GET  magic       the magic ids
GET  oauth       lives of user tokens; codes exchanged, refreshes; spent_used: refreshes with a
                 spent refresh token; concurrent: refreshes of one user at the same time; refused
GET  tickets     the app ticket of every store app, null before its first
POST reset       {"tokens": false}: forget ledger, counters, messages, files, records, cards,
                 quota used, faults; {"statistics_only": true}: only begin to count anew what stats
                 tells, limits stay as full as they are, effects and the ledger's entries stay
POST faults      a rule or a list: {"method", "template", "app_id", "count": 1, "skip": 0} and what
                 befalls: {"status", "code", "msg", "headers", "body", "content_type", "delay_ms",
                 "cut": "before"|"after", "wire": "hang"|"truncated"|"huge", "acts": bool};
                 with a status or code the API does not act unless "acts" is true
DELETE faults    forget the scripted faults
POST latency     all of it is set anew, what is not named is none:
                 {"ms": 50, "jitter_ms": 10}: the work on every request, evenly spread around ms;
                 after the limits are judged and the API has acted, before the answer leaves; a
                 table or drive takes no other write during it
                 {"before_ms": [10, 80], "after_ms": [10, 80], "tail": {"share": 0.01, "ms": 380},
                 "seed": 7}: the network; before_ms passes before a request arrives in the ledger
                 and is judged, after_ms after its answer has left; a share of the delays takes
                 up to the tail's ms
POST limits      any of:
                 "enabled": false judges only receivers (chat_limit), the quota and cards
                 "model": "sliding"|"aligned"|"first_hit"
                 "apis": {"POST /open-apis/…": "5/1", "" for no limit, or null as documented}
                 "statuses": {"POST /open-apis/…" or a kind of subject: 400}
                 "codes": {"POST /open-apis/bitable/…": 99991400}, of rejections by API limits
                 "chat_limit": 5 or null, calls a second of every chat, user and message
                 "subjects": {"chat"|"user"|"message"|"document"|"table"|"drive": "3/1", "" or
                 null}: what one of them takes, of all apps and APIs; drive is all writes of an app
                 "serial": {"table": true, "drive": true}: one write at a time, shows only with
                 latency; another is rejected and does nothing
                 "changes_count": "message"|"chat": what PATCH and PUT of a message count against
                 "card_sequence": true: a card takes only a sequence above its last
                 "quota": calls a month of each app, until a reset, or null; reads of contacts and
                 the like do not count
                 "watch": [1, 6, 60], seconds: lengths of windows for most_in_window
POST tokens      {"life", "renew_below"} in seconds, for tokens issued from now on
POST revoke      {"app_id", "tenant"}, each may be left out: these tokens are invalid at once; an
                 app's own are of the tenant ""
POST apps        {"app_id", "secret"}: add an app or change its secret; null removes it
                 "kind": "store" makes it a store app, "self_built" is the default for a new one;
                 "event_url": where its app_ticket events are posted, besides GET tickets
POST tickets     {"app_id"}: push a new ticket, as Feishu does every hour; the former is void
POST user_tokens {"app_id", "open_id", "life"}: a user access token
POST codes       {"app_id", "open_id", "scope": "offline_access", "redirect_uri", "code_challenge"}:
                 the code that a browser brings back; without offline_access no refresh token
POST grants      {"app_id", "open_id", "scope", "version": 3}: a pair of tokens at once
POST revoke_grant {"app_id", "open_id"}: what the user granted, at once
POST oauth       {"life", "refresh_life", "code_life"}, seconds, from now on
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from . import limit_settings
from .faults import Rule
from .network import Network
from .oauth_control import OAuthControl
from .reports import Reports
from .tickets import StoreApp
from .world import World

PREFIX = "/_sandbox/"

Fields = dict[str, Any]


class Control:
    """Reads and changes a world; a mistake is answered with HTTP 400 and a sentence."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reads = Reports(world).by_name()
        self._writes: Mapping[str, Callable[[Fields], Fields | None]] = {
            "reset": self._reset,
            "faults": self._add_fault,
            "latency": self._latency,
            "limits": self._limits,
            "tokens": self._tokens,
            "revoke": self._revoke,
            "apps": self._apps,
            "user_tokens": self._user_tokens,
            "tickets": self._tickets,
            **OAuthControl(world.oauth).writes(),
        }

    def handle(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> web.Response:
        """Answer one control request."""
        name = path.removeprefix(PREFIX)
        try:
            if method == "GET" and name in self._reads:
                return _json(self._reads[name](query))
            if method == "POST" and name in self._writes:
                return _json(self._write(name, body))
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, 400)
        if method == "DELETE" and name == "faults":
            self._world.script.rules.clear()
            return _json({"ok": True})
        return _json({"error": f"there is no {method} {path}"}, 404)

    def _write(self, name: str, body: bytes) -> Fields:
        fields = orjson.loads(body) if body else {}
        result: Fields = {}
        for each in fields if name == "faults" and isinstance(fields, list) else [fields]:
            if not isinstance(each, dict):
                raise TypeError("the body must be a JSON object")
            result = self._writes[name](each) or {}
        return {"ok": True} | result

    def _reset(self, fields: Fields) -> None:
        if fields.get("statistics_only", False):
            self._world.reset_statistics()
        else:
            self._world.reset(tokens=bool(fields.get("tokens", False)))

    def _add_fault(self, fields: Fields) -> None:
        self._world.script.rules.append(Rule.parse(fields))

    def _latency(self, fields: Fields) -> None:
        latency, jitter = float(fields.get("ms", 0)), float(fields.get("jitter_ms", 0))
        self._world.network = Network.parse(fields)
        self._world.latency_ms, self._world.jitter_ms = latency, jitter

    def _limits(self, fields: Fields) -> None:
        limit_settings.apply(self._world, fields)

    def _tokens(self, fields: Fields) -> None:
        tokens = self._world.tokens
        tokens.life = float(fields.get("life", tokens.life))
        tokens.renew_below = float(fields.get("renew_below", tokens.renew_below))

    def _revoke(self, fields: Fields) -> Fields:
        revoke = self._world.tokens.revoke
        return {"revoked": revoke(fields.get("app_id"), tenant=fields.get("tenant"))}

    def _apps(self, fields: Fields) -> None:
        app_id = _text(fields, "app_id")
        if fields.get("secret") is None:
            self._world.tokens.apps.pop(app_id, None)
            self._world.tickets.apps.pop(app_id, None)
            self._world.tokens.revoke(app_id)
            return
        self._world.tokens.apps[app_id] = _text(fields, "secret")
        kind = fields.get("kind")
        if kind not in (None, "store", "self_built"):
            raise ValueError("kind must be store or self_built")
        if kind == "self_built":
            self._world.tickets.apps.pop(app_id, None)
        elif kind == "store":
            app = self._world.tickets.apps.setdefault(app_id, StoreApp())
            app.event_url = str(fields.get("event_url", app.event_url))

    def _tickets(self, fields: Fields) -> Fields:
        return {"ticket": self._world.tickets.push(_text(fields, "app_id"))}

    def _user_tokens(self, fields: Fields) -> Fields:
        app_id, user = _text(fields, "app_id"), _text(fields, "open_id")
        token = self._world.tokens.user_token(app_id, user, fields.get("life"))
        return {"access_token": token.value}


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is required, a string")
    return value


def _json(body: Any, status: int = 200) -> web.Response:
    content = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=content, status=status, content_type="application/json")
