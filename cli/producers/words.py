"""Grants of producers in the words of commands: values for JSON, tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from gateway.producer_grant_store import StoredGrant

from .permissions import permissions_of

Told = dict[str, Any]


def told_producer(producer: str, grants: Iterable[StoredGrant], vhost: str) -> Told:
    """What one producer may call, and what its RabbitMQ user needs for it."""
    own = [stored for stored in grants if stored.grant.producer == producer]
    aliases = [stored.grant.alias for stored in own]
    return {
        "producer": producer,
        "grants": [
            {
                "app": stored.grant.alias,
                "api": str(stored.grant.apis),
                "user_tokens": stored.grant.user_tokens,
                "created_at": stored.created_at.isoformat(),
                "updated_at": stored.updated_at.isoformat(),
            }
            for stored in own
        ],
        "permissions": permissions_of(producer, aliases, vhost).as_json(),
    }


def print_grants(producers: Sequence[Told]) -> None:
    """A line a grant."""
    if not any(producer["grants"] for producer in producers):
        sys.stdout.write("There are no grants: every producer may call everything.\n")
        return
    columns = ("producer", "app or pool", "API", "for users too", "since")
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for producer in producers:
        for grant in producer["grants"]:
            users = "yes" if grant["user_tokens"] else ""
            since = grant["updated_at"][:19].replace("T", " ")
            cells = (producer["producer"], grant["app"], grant["api"], users, f"{since} UTC")
            table.add_row(*map(Text, cells))
    Console().print(table)


def print_permissions(producer: Told) -> None:
    """The commands, each on one line, to be copied."""
    sys.stdout.write(f"\nRabbitMQ is to let {producer['producer']} do this and no more:\n")
    for command in producer["permissions"]["commands"]:
        sys.stdout.write(f"  {command}\n")
