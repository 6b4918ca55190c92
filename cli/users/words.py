"""Grants in the words of commands: values for JSON, tables for people. No token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from gateway.tokens.grant_rows import Listed

Told = dict[str, Any]


def told(grant: Listed, aliases: Mapping[tuple[str, str], str]) -> Told:
    """A grant; `app` is null where no app has its app id any more."""
    failure = grant.failure
    return {
        "app": aliases.get((grant.domain, grant.app_id)),
        "app_id": grant.app_id,
        "domain": grant.domain,
        "user": grant.user_key,
        "state": grant.state,
        "scope": grant.scope,
        "access_expires_at": _iso(grant.access_expires_at),
        "refresh_expires_at": _iso(grant.refresh_expires_at),
        "granted_at": _iso(grant.granted_at),
        "refreshed_at": _iso(grant.refreshed_at),
        "refresh_token_may_be_spent": grant.doubtful,
        "failure": None
        if failure is None
        else {"type": failure.type, "code": failure.code, "message": failure.message},
    }


def print_grants(grants: Iterable[Told]) -> None:
    """A line a grant."""
    columns = ("app", "user", "state", "access until", "refresh until", "scope")
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for grant in grants:
        cells = (grant["app"] or grant["app_id"], grant["user"], grant["state"])
        ends = (_day(grant["access_expires_at"]), _day(grant["refresh_expires_at"]))
        table.add_row(*map(Text, (*cells, *ends, grant["scope"])))
    Console().print(table)


def print_grant(grant: Told) -> None:
    """A line a fact; what is not known is left out."""
    failure = grant["failure"]
    facts = {
        "app": f"{grant['app'] or '(none)'} ({grant['app_id']})",
        **{name: grant[name] for name in ("user", "state", "scope")},
        "access until": _day(grant["access_expires_at"]),
        "refresh until": _day(grant["refresh_expires_at"]),
        "granted": _day(grant["granted_at"]),
        "refreshed": _day(grant["refreshed_at"]),
        "last failure": failure["message"] if failure else "",
        "in doubt": "its refresh token was sent and no answer is stored"
        if grant["refresh_token_may_be_spent"]
        else "",
    }
    for name, value in facts.items():
        if value:
            Console().print(Text.assemble((f"{name:<15}", "cyan"), value), soft_wrap=True)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _day(at: str | None) -> str:
    return "" if at is None else f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"
