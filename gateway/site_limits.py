"""A site's own rate limits: where its agreement with Feishu differs from the documentation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

from schemas.apis import Api, ApiTable, Window, is_parameter, parse_windows
from schemas.call import Method

from .errors import ConfigError

Limits = Mapping[str, tuple[Window, ...]]
"""Windows by `METHOD template`."""

_METHODS: Final = get_args(Method)


class LimitsError(ConfigError, ValueError):
    """The limits cannot be used; the message names every wrong entry, one a line."""


def load_limits_file(path: Path) -> dict[str, tuple[Window, ...]]:
    """Read a TOML file whose table `[limits]` holds `"METHOD template" = "1000/60;50/1"`.

    Raises LimitsError.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LimitsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise LimitsError(f"{path}: is no TOML file: {error}") from error
    others = sorted(set(document) - {"limits"})
    if others:
        raise LimitsError(f"{path}: has {others[0]!r} where only the table [limits] belongs")
    entries = document.get("limits", {})
    if not isinstance(entries, dict):
        raise LimitsError(f"{path}: limits must be a table, [limits]")
    return _parse_entries(path, entries)


def resolve_limits(table: ApiTable, limits: Limits) -> dict[Api, tuple[Window, ...]]:
    """The limits by API; an API that the table lacks is made up from the entry's template.

    Raises LimitsError for an entry that names no API, one resource of an API, or an API again.
    """
    own: dict[Api, tuple[Window, ...]] = {}
    shapes: set[tuple[str, ...]] = set()
    mistakes: list[str] = []
    for name, windows in limits.items():
        try:
            api = _named(table, name)
        except ValueError as error:
            mistakes.append(f"limit of {name!r}: {error}")
            continue
        if _shape(api) in shapes:
            mistakes.append(f"limit of {name!r}: names {api.name} for the second time")
        shapes.add(_shape(api))
        own[api] = windows
    if mistakes:
        raise LimitsError("\n".join(mistakes))
    return own


def _parse_entries(path: Path, entries: Mapping[str, Any]) -> dict[str, tuple[Window, ...]]:
    limits: dict[str, tuple[Window, ...]] = {}
    mistakes: list[str] = []
    for name, text in entries.items():
        try:
            limits[name] = parse_windows(text if isinstance(text, str) else repr(text))
        except ValueError as error:
            mistakes.append(f"{path}: limit of {name!r}: {error}")
    if mistakes:
        raise LimitsError("\n".join(mistakes))
    return limits


def _named(table: ApiTable, name: str) -> Api:
    method, _, template = name.partition(" ")
    if method not in _METHODS or not template.startswith("/open-apis/"):
        raise ValueError("write a method and a path, such as POST /open-apis/im/v1/messages")
    given = Api(method, template)
    api = table.match(method, template)
    if api is None:
        return given
    if _shape(api) != _shape(given):
        raise ValueError(f"is one resource of an API; write {api.name}")
    return api


def _shape(api: Api) -> tuple[str, ...]:
    segments = api.template.split("/")
    return (api.method, *(":" if is_parameter(segment) else segment for segment in segments))
