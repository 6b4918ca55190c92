"""A site's own rate limits: where its agreement with Feishu differs from the documentation."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from schemas.apis import Window, parse_windows
from schemas.names import ALIAS

from .errors import ConfigError
from .limit_rules import KINDS, Cap

Limits = Mapping[str, tuple[Window, ...]]
"""Windows by `METHOD template`."""

NONE: Final = "none"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AppLimits:
    """What a site sets for one app: a cap of all its calls together, and windows of single APIs."""

    total: tuple[Window, ...] = ()
    limits: Limits = field(default_factory=dict)
    stored: bool = False
    """Whether it comes from Postgres and not from the file."""


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """What a site sets. `resources` is by kind of thing; None lifts the limit of that kind."""

    limits: Limits = field(default_factory=dict)
    apps: Mapping[str, AppLimits] = field(default_factory=dict)
    resources: Mapping[str, Cap | None] = field(default_factory=dict)
    source: str = "the site's limits"
    """The file, for messages."""


class LimitsError(ConfigError, ValueError):
    """The limits cannot be used; the message names every wrong entry, one a line."""


def load_limits_file(path: Path | None) -> SiteLimits:
    """Read the TOML file that docs/limits.md describes; without one, nothing is set.

    Raises LimitsError naming every mistake by file, table and key.
    """
    if path is None:
        return SiteLimits()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LimitsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise LimitsError(f"{path}: is no TOML file: {error}") from error
    reader = _Reader(str(path))
    read = reader.site(document)
    if reader.mistakes:
        raise LimitsError("\n".join(reader.mistakes))
    return read


def read_app_limits(alias: str, entries: Mapping[str, Any]) -> AppLimits:
    """Read what Postgres holds for an app: what would stand in [apps.<alias>] of such a file.

    Raises LimitsError naming every mistake by table and key.
    """
    reader = _Reader(stored_source(alias))
    read = reader.app(alias, entries)
    if reader.mistakes:
        raise LimitsError("\n".join(reader.mistakes))
    return replace(read, stored=True)


def stored_source(alias: str) -> str:
    """How messages name what Postgres holds for an app."""
    return f"lark-service app set-limits {alias}"


class _Reader:
    """Reads a document to its end and notes what is wrong on the way."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.mistakes: list[str] = []

    def site(self, document: Mapping[str, Any]) -> SiteLimits:
        self._only("the file", document, ("limits", "apps", "resources"))
        return SiteLimits(
            limits=self._entries("limits", document.get("limits", {}), _windows),
            apps=self._apps(document.get("apps", {})),
            resources=self._resources(document.get("resources", {})),
            source=self._source,
        )

    def _apps(self, apps: Any) -> dict[str, AppLimits]:
        read: dict[str, AppLimits] = {}
        for alias, app in self._table("apps", apps).items():
            if not ALIAS.fullmatch(alias):
                self._wrong("apps", alias, "is no alias of an app")
            read[alias] = self.app(alias, app)
        return read

    def app(self, alias: str, app: Any) -> AppLimits:
        where = f"apps.{alias}"
        entries = self._table(where, app)
        self._only(f"[{where}]", entries, ("total", "limits"))
        total = {name: entries[name] for name in ("total",) if name in entries}
        return AppLimits(
            total=self._entries(where, total, _windows).get("total", ()),
            limits=self._entries(f"{where}.limits", entries.get("limits", {}), _windows),
        )

    def _resources(self, entries: Any) -> dict[str, Cap | None]:
        table = self._table("resources", entries)
        self._only("[resources]", table, KINDS)
        known = {kind: entry for kind, entry in table.items() if kind in KINDS}
        return self._entries("resources", known, _cap)

    def _entries(self, where: str, entries: Any, read: Callable[[Any], _T]) -> dict[str, _T]:
        values: dict[str, _T] = {}
        for name, value in self._table(where, entries).items():
            try:
                values[name] = read(value)
            except ValueError as error:
                self._wrong(where, name, str(error))
        return values

    def _table(self, where: str, value: Any) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        self.mistakes.append(f"{self._source}: {where} must be a table, [{where}]")
        return {}

    def _only(self, where: str, entries: Mapping[str, Any], known: Iterable[str]) -> None:
        names = list(known)
        self.mistakes += [
            f"{self._source}: {where} has {name!r}, but may hold only {', '.join(names)}"
            for name in entries
            if name not in names
        ]

    def _wrong(self, where: str, name: str, problem: str) -> None:
        self.mistakes.append(f"{self._source}: [{where}] {name!r}: {problem}")


def _windows(value: Any) -> tuple[Window, ...]:
    return parse_windows(value if isinstance(value, str) else repr(value))


def _cap(value: Any) -> Cap | None:
    """`"5/1"` is windows, 1 is calls at once, a table holds both, and `"none"` lifts the limit."""
    if value == NONE:
        return None
    if isinstance(value, str):
        return Cap(_windows(value))
    if not isinstance(value, dict):
        return Cap(at_once=_at_once(value))
    others = [name for name in value if name not in ("windows", "at_once")]
    if others or not value:
        named = f"has {others[0]!r}, but" if others else "is empty;"
        raise ValueError(f"{named} may hold only windows, at_once")
    return Cap(
        _windows(value["windows"]) if "windows" in value else (),
        _at_once(value["at_once"]) if "at_once" in value else 0,
    )


def _at_once(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
        raise ValueError(f'{value!r} is no limit, write calls at once such as 1, "5/1", or "none"')
    return value
