"""Prints what was seen of tokens, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from .seen import Seen, State

_STATES = {
    State.VALID: "[green]valid[/green]",
    State.RENEWAL_DUE: "[green]valid[/green], renewal due",
    State.ENDING: "[yellow]at its end[/yellow]",
    State.FAILING: "[red]failing[/red]",
    State.MISSING: "missing",
}


def print_one(seen: Seen) -> None:
    """All that may be shown of one token."""
    told = seen.as_json()
    table = Table(show_header=False, box=None)
    whose = f" of {told['holder']}" if told["holder"] else ""
    table.add_row("app", f"{told['app']} ({told['app_id']})")
    table.add_row("kind", told["kind"] + whose)
    table.add_row("state", _STATES[seen.state])
    if seen.token is not None:
        table.add_row("expires at", f"{told['expires_at']} ({told['remaining_seconds']} s left)")
        table.add_row("renewal", f"{told['renewal_from']} to {told['renewal_until']}")
        table.add_row("found in", ", ".join(seen.found_in))
        table.add_row("fingerprint", told["fingerprint"])
    if seen.failure is not None:
        table.add_row("failure", seen.failure.message)
        if seen.failure.hint:
            table.add_row("hint", seen.failure.hint)
    for name, reason in seen.away.items():
        table.add_row(f"{name} away", reason)
    Console().print(table)


def table_of(rows: Iterable[Seen]) -> Table:
    """One line a token."""
    table = Table("app", "kind", "state", "left", "found in", "fingerprint")
    for seen in rows:
        told = seen.as_json()
        state = _STATES[seen.state]
        if seen.failure is not None and not seen.is_usable:
            state += f": {seen.failure.message}"
        left = f"{told['remaining_seconds']} s" if seen.token else ""
        places = ", ".join(seen.found_in)
        table.add_row(told["app"], told["kind"], state, left, places, told["fingerprint"] or "")
    return table


def words_of(renewed: Mapping[str, Any]) -> str:
    """What came of asking for a new token, from its JSON."""
    left = f"{renewed['remaining_seconds']} s left"
    age = renewed["asked_seconds_ago"]
    if age is not None:
        return f"{left}; another asked Feishu {age:.0f} s ago."
    if renewed["unchanged"]:
        return f"unchanged, {left}: Feishu gave out the same token again."
    return f"renewed, {left}."
