"""Limits that Feishu's pages state beside the tier of an API: one sourced row each.

`data/limit_rules.csv` says for which calls a rule holds, whose budget they share, and how much that
is. Its columns: *calls* is methods, or `writes` for all but reading APIs; *path* is a template
where `a|b` is either word and `/**` at the end any rest, even none; *of* is what the budget belongs
to: parameters of the path, the receiver of one of the given types, the first given of some fields
of the body, the `app` as a whole or the `api`; *across* is who shares it: one `app`, all apps of
one `tenant`, or all apps of the `cloud`. Rules of kind `api` fill in the windows of an API whose
tier gives none. Of two rules of one kind that match, the first holds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from schemas.apis import Window, is_parameter, parse_windows

API: Final = "api"
KINDS: Final = ("chat", "user", "message", "table", "document", "drive", "card", "tenant")
"""Every kind of thing that has a limit of its own; metrics use them as labels."""

WRITES: Final = "writes"
_REST: Final = "**"


@dataclass(frozen=True, slots=True)
class Cap:
    """How much one thing takes: requests per window, and at once (0 is any number)."""

    windows: tuple[Window, ...] = ()
    at_once: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    kind: str
    calls: frozenset[str]
    path: tuple[str, ...]
    of: str
    across: str
    cap: Cap
    source: str

    def holds(self, method: str, segments: Sequence[str], *, reads: bool, filled: bool) -> bool:
        """Whether it holds for an API's template, or where *filled* for a path without one.

        In a template only a parameter stands for a parameter: `tables/batch_create` is no table.
        """
        if WRITES in self.calls:
            if reads:
                return False
        elif method not in self.calls:
            return False
        pattern = self.path
        if pattern[-1] == _REST:
            pattern = pattern[:-1]
            if len(segments) < len(pattern):
                return False
        elif len(segments) != len(pattern):
            return False
        return all(
            (filled or is_parameter(segment))
            if is_parameter(wanted)
            else segment in wanted.split("|")
            for wanted, segment in zip(pattern, segments, strict=False)
        )

    def places(self) -> tuple[int, ...]:
        """Where the path's segments hold the ids that `of` names, if it names any."""
        return tuple(self.path.index(name) for name in self.of.split() if is_parameter(name))


@cache
def limit_rules() -> tuple[Rule, ...]:
    """All rules, in the order of the table."""
    source = files(__package__).joinpath("data", "limit_rules.csv")
    rows = csv.DictReader(source.read_text(encoding="utf-8").splitlines())
    return tuple(_rule(row) for row in rows)


def first_of_each_kind(
    rules: Iterable[Rule], method: str, path: str, *, reads: bool, filled: bool
) -> dict[str, Rule]:
    """The rules that hold for an API or a path, by kind, in the order of the table."""
    segments = path.split("/")
    found: dict[str, Rule] = {}
    for rule in rules:
        if rule.kind not in found and rule.holds(method, segments, reads=reads, filled=filled):
            found[rule.kind] = rule
    return found


def _rule(row: dict[str, str]) -> Rule:
    return Rule(
        kind=row["kind"],
        calls=frozenset(row["calls"].split()),
        path=tuple(row["path"].split("/")),
        of=row["of"],
        across=row["across"],
        cap=Cap(parse_windows(row["windows"]) if row["windows"] else (), int(row["at_once"] or 0)),
        source=row["source"],
    )
