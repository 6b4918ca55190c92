"""Apps in the words of commands: values for JSON, tables for people. No secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from gateway.app_rows import Registry, StoredApp
from gateway.apps import App
from gateway.registry_changes import Change

Told = dict[str, Any]


def told_own(app: App) -> Told:
    """The app of the environment, of which no time is known."""
    return _told(app, "environment") | {
        "limits": {},
        "secret_changed_at": None,
        "created_at": None,
        "updated_at": None,
    }


def told_stored(stored: StoredApp) -> Told:
    """An app of Postgres."""
    return _told(stored.app, "postgres") | {
        "limits": dict(stored.limits),
        "secret_changed_at": stored.secret_changed_at.isoformat(),
        "created_at": stored.created_at.isoformat(),
        "updated_at": stored.updated_at.isoformat(),
    }


def told_ticket(received_at: datetime | None) -> Told:
    """When the ticket of a store app was handed in, None for never."""
    return {"ticket_received_at": None if received_at is None else received_at.isoformat()}


def pools_of(registry: Registry, alias: str) -> list[str]:
    """The pools of which the app is a member."""
    return [
        pool.pool.alias
        for pool in registry.pools.values()
        if alias in pool.pool.members and not pool.pool.removed
    ]


def told_change(change: Change) -> Told:
    """One entry of the record."""
    return {
        "at": change.at.isoformat(),
        "actor": change.actor,
        "action": change.action,
        "details": dict(change.details),
    }


def print_json(document: Mapping[str, Any]) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")


def print_apps(apps: Iterable[Told]) -> None:
    """A line an app."""
    columns = ("alias", "app id", "kind", "domain", "status", "own limits", "secret changed")
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for app in apps:
        names = ("alias", "app_id", "kind", "domain")
        cells = (*(app[name] for name in names), _status(app), "yes" if app["limits"] else "")
        table.add_row(*map(Text, (*cells, _day(app["secret_changed_at"]))))
    Console().print(table)


def print_app(app: Told, changes: Iterable[Told]) -> None:
    """A line a fact, then the record."""
    facts = {
        **{name.replace("_", " "): app[name] for name in ("alias", "app_id", "kind", "domain")},
        "status": _status(app),
        "from": "the environment" if app["source"] == "environment" else "Postgres",
        "pools": ", ".join(app["pools"]) or "none",
        "limits": json.dumps(app["limits"], ensure_ascii=False) if app["limits"] else "none",
        "secret changed": _day(app["secret_changed_at"]),
    }
    if "ticket_received_at" in app:
        facts["ticket"] = _day(app["ticket_received_at"]) or "none yet"
    print_facts(facts, changes)


def print_facts(facts: Mapping[str, str], changes: Iterable[Told]) -> None:
    """A line a fact, then the record; what is not known is left out."""
    console = Console()
    for name, value in facts.items():
        if value:
            console.print(Text.assemble((f"{name:<15}", "cyan"), value), soft_wrap=True)
    for change in changes:
        when = f"{datetime.fromisoformat(change['at']):%Y-%m-%d %H:%M:%S} UTC"
        details = json.dumps(change["details"], ensure_ascii=False) if change["details"] else ""
        line = f"{when}  {change['action']} by {change['actor']}  {details}"
        console.print(Text(line.rstrip()), soft_wrap=True)


def _told(app: App, source: str) -> Told:
    return {
        "alias": app.alias,
        "app_id": app.app_id,
        "kind": app.kind.value,
        "domain": app.domain,
        "status": app.status.value,
        "source": source,
        "unreadable": app.unreadable,
    }


def _status(app: Told) -> str:
    unreadable = app["unreadable"]
    return f"{app['status']}, secret unreadable: {unreadable}" if unreadable else app["status"]


def _day(at: str | None) -> str:
    return "" if at is None else f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"
