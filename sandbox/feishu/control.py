"""The control endpoint, `/_sandbox/…`: JSON in and out, no bearer token, not in the ledger.

GET  state       configuration, apps, scripted faults still to come
GET  stats       counters: requests by API, answers by status and code, tokens issued, effects,
                 and per app and API accepted, rejected, most in any window
GET  ledger      entries; `since`, `limit` (the newest so many), `method`, `template`, `app_id`,
                 `key`, `body_hash`, `status`, `code`, `log_id` narrow it
GET  requests    the last requests in full (`last`, `number`); bearer tokens as fingerprints
GET  effects     how often each idempotency key (without one: body hash) took effect;
                 `repeated=1` shows only those above one, `key` one of them
GET  messages    stored messages; `receive_id`, `limit`
GET  magic       the magic ids
POST reset       {"tokens": false}: forget ledger, counters, messages, files, records, faults
POST faults      a rule or a list: {"method", "template", "app_id", "count": 1, "skip": 0} and what
                 befalls: {"status", "code", "msg", "headers", "body", "content_type", "delay_ms",
                 "cut": "before"|"after", "wire": "hang"|"truncated"|"huge", "acts": bool};
                 with a status or code the API does not act unless "acts" is true
DELETE faults    forget the scripted faults
POST latency     {"ms": 50, "jitter_ms": 10}: every answer, evenly spread around ms
POST limits      {"enabled", "model": "sliding"|"aligned"|"first_hit", "chat_limit": 5 or null,
                 "apis": {"POST /open-apis/…": "5/1", "" for no limit, or null as catalogued},
                 "statuses": {"POST /open-apis/…": 400}}
POST tokens      {"life", "renew_below"} in seconds, for tokens issued from now on
POST revoke      {"app_id"} or {}: its tokens, or all, are invalid at once
POST apps        {"app_id", "secret"}: add an app or change its secret; null removes it
POST user_tokens {"app_id", "open_id", "life"}: a user access token
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from .faults import Rule
from .limits import WindowModel
from .reports import Reports
from .world import World, read_windows

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
        self._world.reset(tokens=bool(fields.get("tokens", False)))

    def _add_fault(self, fields: Fields) -> None:
        self._world.script.rules.append(Rule.parse(fields))

    def _latency(self, fields: Fields) -> None:
        self._world.latency_ms = float(fields.get("ms", 0))
        self._world.jitter_ms = float(fields.get("jitter_ms", 0))

    def _limits(self, fields: Fields) -> None:
        limits = self._world.limits
        # Read first, change afterwards: a mistake changes nothing.
        apis = {
            name: None if text is None else read_windows(text)
            for name, text in fields.get("apis", {}).items()
        }
        model = WindowModel(fields.get("model", limits.model))
        if model is not limits.model:
            limits.model = model
            limits.clear()
        for name, windows in apis.items():
            limits.override(name, windows)
        limits.statuses |= {name: int(s) for name, s in fields.get("statuses", {}).items()}
        limits.enabled = bool(fields.get("enabled", limits.enabled))
        if "chat_limit" in fields:
            self._world.messages.receivers.limit = fields["chat_limit"]

    def _tokens(self, fields: Fields) -> None:
        tokens = self._world.tokens
        tokens.life = float(fields.get("life", tokens.life))
        tokens.renew_below = float(fields.get("renew_below", tokens.renew_below))

    def _revoke(self, fields: Fields) -> Fields:
        return {"revoked": self._world.tokens.revoke(fields.get("app_id"))}

    def _apps(self, fields: Fields) -> None:
        app_id = _text(fields, "app_id")
        if fields.get("secret") is None:
            self._world.tokens.apps.pop(app_id, None)
            self._world.tokens.revoke(app_id)
        else:
            self._world.tokens.apps[app_id] = _text(fields, "secret")

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
