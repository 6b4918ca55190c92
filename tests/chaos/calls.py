"""Calls whose id says everything about them: what is asked, how, and what must be answered."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Klass = Literal["R", "I", "K", "N"]
Lane = Literal["interactive", "bulk"]
Reply = Literal["exclusive", "durable", "direct", "none"]

CLASSES: Final[tuple[Klass, ...]] = ("R", "I", "K", "N")
LANES: Final[tuple[Lane, ...]] = ("interactive", "bulk")
REPLIES: Final[tuple[Reply, ...]] = ("exclusive", "durable", "direct", "none")
APPS: Final[Mapping[str, str]] = {
    "default": "cli_sandbox0000000001",
    "second": "cli_chaos000000000002",
}
"""Alias to Feishu's app id."""

APIS: Final[Mapping[Klass, str]] = {
    "R": "GET /open-apis/contact/v3/users/:user_id",
    "I": "DELETE /open-apis/calendar/v4/calendars/:calendar_id/events/:event_id",
    "K": "POST /open-apis/bitable/v1/apps/:app_token/tables/:table_id/records",
    "N": "POST /open-apis/apaas/v1/applications/:namespace/objects/:object_api_name/records",
}
LIMITS: Final[Mapping[str, str]] = {
    APIS["R"]: "50/1",
    APIS["I"]: "30/1",
    APIS["K"]: "40/1",
    APIS["N"]: "30/1",
}
"""What Feishu takes of each API and app, and what the gateway is told of it."""

_ID = re.compile(r"([a-z0-9]+)-([0-9]+)-([0-9]+)-([RIKN])([ib])([xdrn])([a-z])-([0-9]+)")
_LANES: Final[Mapping[str, Lane]] = {"i": "interactive", "b": "bulk"}
_REPLIES: Final[Mapping[str, Reply]] = {
    "x": "exclusive",
    "d": "durable",
    "r": "direct",
    "n": "none",
}
_ALIASES: Final[Mapping[str, str]] = {alias[0]: alias for alias in APPS}


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `seconds` is the time from its publication to its deadline."""

    run: str
    seed: int
    number: int
    klass: Klass
    lane: Lane = "interactive"
    reply: Reply = "durable"
    alias: str = "default"
    seconds: int = 60

    @property
    def id(self) -> str:
        """The call id, of which `parse` makes the same call again."""
        lane = _letter(_LANES, self.lane)
        reply = _letter(_REPLIES, self.reply)
        how = f"{self.klass}{lane}{reply}{self.alias[0]}"
        return f"{self.run}-{self.seed}-{self.number:07}-{how}-{self.seconds}"

    @classmethod
    def parse(cls, call_id: str) -> Call:
        """Read an id; raises ValueError for one that is not of these calls."""
        match = _ID.fullmatch(call_id)
        if match is None:
            raise ValueError(f"{call_id!r} is no id of a chaos call")
        run, seed, number, klass, lane, reply, alias, seconds = match.groups()
        return cls(
            run,
            int(seed),
            int(number),
            next(each for each in CLASSES if each == klass),
            _LANES[lane],
            _REPLIES[reply],
            _ALIASES[alias],
            int(seconds),
        )

    @property
    def api(self) -> str:
        """The API in the form in which Feishu's limits name it."""
        return APIS[self.klass]

    @property
    def app_id(self) -> str:
        """The app whose token must come with the request."""
        return APPS[self.alias]

    @property
    def body(self) -> dict[str, Any]:
        """The body of the request message."""
        method, template = self.api.split(" ")
        values = _path_values(self.klass, self.id)
        call: dict[str, Any] = {"method": method, "path": template, "path_params": values}
        sent = self.sent
        return call if sent is None else call | {"body": sent}

    @property
    def sent(self) -> dict[str, Any] | None:
        """The body that must reach Feishu, None for none."""
        if self.klass in ("R", "I"):
            return None
        key = "fields" if self.klass == "K" else "record"
        return {key: {"id": self.id}}

    @property
    def body_hash(self) -> str:
        """The hash that Feishu's record must show of what reached it."""
        if self.sent is None:
            return ""
        text = json.dumps(self.sent, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def is_answered_by(self, body: Any) -> bool:
        """Whether Feishu's answer is the one for this call: it repeats the id where it can."""
        if not isinstance(body, dict) or body.get("code") != 0:
            return False
        data: Any = body.get("data")
        if self.klass == "R":
            return bool(data["user"]["open_id"] == f"ou_{self.id}")
        if self.klass == "K":
            return bool(data["record"]["fields"] == {"id": self.id})
        return data == {}


def find_id(path: str) -> str | None:
    """The id of the call that a request with this path belongs to, if any."""
    match = _ID.search(path)
    return match[0] if match else None


def draw(
    random_: random.Random,
    run: str,
    seed: int,
    number: int,
    replies: tuple[Reply, ...] = REPLIES,
    timeouts: tuple[int, ...] = (5, 20, 60),
) -> Call:
    """One call of the mix: 40 % reads, 20 % of each other class; some with little time."""
    return Call(
        run,
        seed,
        number,
        klass=random_.choices(CLASSES, (4, 2, 2, 2))[0],
        lane=random_.choice(LANES),
        reply=random_.choice(replies),
        alias=random_.choices(tuple(APPS), (3, 1))[0],
        seconds=random_.choices(timeouts, (1, 3, 16))[0],
    )


def _path_values(klass: Klass, call_id: str) -> dict[str, str]:
    if klass == "R":
        return {"user_id": f"ou_{call_id}"}
    if klass == "I":
        return {"calendar_id": "chaos", "event_id": call_id}
    if klass == "K":
        return {"app_token": call_id, "table_id": "tbl1"}
    return {"namespace": call_id, "object_api_name": "things"}


def _letter(table: Mapping[str, str], value: str) -> str:
    return next(letter for letter, name in table.items() if name == value)
