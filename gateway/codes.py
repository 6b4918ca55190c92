"""What Feishu's codes mean: one sourced row each, from `data/feishu_codes.csv`.

The code decides, never the HTTP status: 200 may be a failure, 400 a rate limit, 429 a used-up
quota. A code without a row is an ordinary answer, unless it comes with a 5xx.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from schemas.reply import ErrorType, Outcome

DOCUMENTATION: Final = "https://open.feishu.cn/document"


class Action(StrEnum):
    """What must be done about an answer."""

    PAUSE = "pause"
    """A limit: nobody sends to the bucket that `scope` names until it is reset. Not an attempt."""
    BACK_OFF = "back_off"
    """Others use one table, document or the like. Its bucket is paused where the call has one that
    `scope` names; if not, this call alone waits. Not an attempt."""
    IN_PROGRESS = "in_progress"
    """The same keyed call is being executed: wait, then send it with the same key."""
    REFRESH_TOKEN = "refresh_token"  # noqa: S105  an action, not a secret
    """The token was rejected: take a new one and repeat, once. Not an attempt."""
    RETRY = "retry"
    """An attempt is spent: repeat where the class allows."""
    ANSWER = "answer"
    """Final: the producer must change the call."""
    CREDENTIALS = "credentials"
    """Final: do not ask again with this secret for a while."""
    APP_UNAVAILABLE = "app_unavailable"
    """Final for the app until somebody enables or installs it."""
    PERMISSION = "permission"
    """Final until somebody grants a scope."""
    REAUTH = "reauth"
    """Final: the user grant is gone."""
    REREAD_GRANT = "reread_grant"
    """Another process may have rotated the refresh token: read the grant again, else REAUTH."""
    NEW_APP_TICKET = "new_app_ticket"
    """A store app's ticket is stale: ask for another and wait for it."""
    IP_DENIED = "ip_denied"
    """Final until the gateway's address is allowed."""
    QUOTA = "quota"
    """Final for the whole app until the month ends."""
    DAILY_QUOTA = "daily_quota"
    """Final until the day ends for what `scope` names; the app's other APIs go on."""


class Scope(StrEnum):
    """What the limit or quota of a code is a limit of."""

    API = "api"
    """The API, as one app uses it for one tenant."""
    CHAT = "chat"
    """One chat, one user who receives, or one message."""
    APP_MESSAGES = "app_messages"
    """All messages of the app. There is no such bucket: that of the API stands for it, and an API
    beside it learns from an answer of its own."""
    TABLE = "table"
    """One table, or its base."""
    DOCUMENT = "document"
    """One document."""
    DRIVE = "drive"
    """What the app changes in drive."""
    MAILBOX = "mailbox"
    """One mailbox."""
    TENANT = "tenant"
    """All calls of the app for one tenant that Feishu counts."""


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One code. `error` and `outcome` are what the producer is told when nothing more is tried.

    `outcome` speaks of the request that got this code. `status`, where given, is the one HTTP
    status for which the row holds, since the code has another meaning too. `source` is a path
    under DOCUMENTATION, or says what else it is. `scope` is given where the code means a limit.
    """

    code: int
    meaning: str
    action: Action
    error: ErrorType
    outcome: Outcome
    hint: str
    source: str
    status: int | None = None
    scope: Scope | None = None


def meaning_of(code: int) -> CodeRow | None:
    """The row of a code that an API answered; None where there is nothing special about it."""
    return _tables()["api"].get(code)


def token_meaning_of(code: int) -> CodeRow | None:
    """The row of a code that an endpoint answered which issues tokens.

    Some codes mean something else there (10003). The outcome is never an execution: the API that
    the token was for has not been asked.
    """
    return _tables()["token"].get(code)


@cache
def _tables() -> Mapping[str, Mapping[int, CodeRow]]:
    source = files(__package__).joinpath("data", "feishu_codes.csv")
    rows = list(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))
    api = _table(row for row in rows if row["place"] in ("api", "any"))
    token = _table(row for row in rows if row["place"] in ("token", "any"))
    elsewhere = {
        code: replace(row, outcome=Outcome.NOT_EXECUTED) for code, row in (api | token).items()
    }
    return MappingProxyType({"api": api, "token": elsewhere})


def _table(rows: Iterable[dict[str, str]]) -> dict[int, CodeRow]:
    table: dict[int, CodeRow] = {}
    for row in rows:
        code = int(row["code"])
        if code in table:
            raise ValueError(f"code {code} has two rows for one place")
        table[code] = CodeRow(
            code=code,
            meaning=row["meaning"],
            action=Action(row["action"]),
            error=ErrorType(row["error"]),
            outcome=Outcome(row["outcome"]),
            hint=row["hint"],
            source=row["source"],
            status=int(row["status"]) if row["status"] else None,
            scope=Scope(row["scope"]) if row["scope"] else None,
        )
    return table
