"""Prints what was seen of tokens, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .seen import Seen, State

_STATES = {
    State.VALID: "valid",
    State.RENEWAL_DUE: "valid, renewal due",
    State.ENDING: "at its end",
    State.FAILING: "failing",
    State.MISSING: "missing",
}


def print_one(seen: Seen) -> None:
    """All that may be shown of one token."""
    told = seen.as_json()
    whose = f" of {told['holder']}" if told["holder"] else ""
    rows = [
        ("app", f"{told['app']} ({told['app_id']})"),
        ("kind", told["kind"] + whose),
        ("state", _STATES[seen.state]),
    ]
    if seen.token is not None:
        rows += [
            ("expires at", f"{told['expires_at']} ({told['remaining_seconds']} s left)"),
            ("renewal", f"{told['renewal_from']} to {told['renewal_until']}"),
            ("found in", ", ".join(seen.found_in)),
            ("fingerprint", told["fingerprint"]),
        ]
    if seen.failure is not None:
        rows += [("failure", seen.failure.message), ("hint", seen.failure.hint or "")]
    rows += [(f"{name} away", reason) for name, reason in seen.away.items()]
    table = Table(show_header=False, box=None)
    for name, value in rows:
        table.add_row(name, Text(value))
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
        cells = (told["app"], told["kind"], state, left, places, told["fingerprint"] or "")
        table.add_row(*map(Text, cells))
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
