"""Reads and shows the limits as the control endpoint takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from schemas.apis import Window

from .limits import WindowModel, read_windows
from .subjects import KINDS, SERIAL
from .world import World

Fields = dict[str, Any]
Change = Callable[[], object]


def apply(world: World, fields: Fields) -> None:
    """Change what `fields` name; a mistake raises ValueError or TypeError and changes nothing."""
    changes: list[Change] = []
    for name, value in fields.items():
        reader = _READERS.get(name)
        if reader is None:
            raise ValueError(f"unknown field {name!r}; limits have {', '.join(_READERS)}")
        changes += reader(world, value)
    for change in changes:
        change()


def shown(world: World) -> Fields:
    """All settings, in the form in which they are set."""
    limits, subjects = world.limits, world.subjects
    receivers = subjects.windows["chat"]
    return {
        "enabled": limits.enabled,
        "model": limits.model,
        "chat_limit": receivers[0].limit if receivers else None,
        "subjects": {kind: _text(windows) for kind, windows in subjects.windows.items()},
        "serial": {kind: kind in subjects.serial for kind in sorted(SERIAL)},
        "changes_count": world.messages.changes_count,
        "card_sequence": world.cards.check_sequence,
        "quota": world.admission.quota.limit,
        "apis": {name: _text(windows) for name, windows in limits.overrides.items()},
        "statuses": limits.statuses,
        "codes": limits.codes,
        "watch": list(limits.watch),
    }


def _enabled(world: World, value: Any) -> list[Change]:
    return [partial(setattr, world.limits, "enabled", bool(value))]


def _model(world: World, value: Any) -> list[Change]:
    model = WindowModel(value)
    if model is world.limits.model:
        return []
    clears = [world.limits.clear, world.subjects.clear]
    return [partial(setattr, world.limits, "model", model), *clears]


def _chat_limit(world: World, value: Any) -> list[Change]:
    limit = _count("chat_limit", value)
    return [partial(world.subjects.limit_receivers, limit)]


def _subjects(world: World, value: Any) -> list[Change]:
    read = {_known(kind, KINDS): _windows(text) for kind, text in _object(value).items()}
    return [partial(world.subjects.limit, kind, windows) for kind, windows in read.items()]


def _serial(world: World, value: Any) -> list[Change]:
    flags = {_known(kind, sorted(SERIAL)): bool(flag) for kind, flag in _object(value).items()}
    on = {kind for kind, flag in flags.items() if flag}
    serial = (world.subjects.serial - flags.keys()) | on
    return [partial(setattr, world.subjects, "serial", serial)]


def _changes_count(world: World, value: Any) -> list[Change]:
    kind = _known(value, ("message", "chat"))
    return [partial(setattr, world.messages, "changes_count", kind)]


def _card_sequence(world: World, value: Any) -> list[Change]:
    return [partial(setattr, world.cards, "check_sequence", bool(value))]


def _quota(world: World, value: Any) -> list[Change]:
    limit = _count("quota", value)
    return [partial(setattr, world.admission.quota, "limit", limit)]


def _apis(world: World, value: Any) -> list[Change]:
    read = {name: _windows(text) for name, text in _object(value).items()}
    return [partial(world.limits.override, name, windows) for name, windows in read.items()]


def _statuses(world: World, value: Any) -> list[Change]:
    statuses = {name: int(status) for name, status in _object(value).items()}
    return [partial(world.limits.statuses.update, statuses)]


def _codes(world: World, value: Any) -> list[Change]:
    codes = {name: int(code) for name, code in _object(value).items()}
    return [partial(world.limits.codes.update, codes)]


def _watch(world: World, value: Any) -> list[Change]:
    if not isinstance(value, list):
        raise TypeError("watch is a list of seconds")
    lengths = tuple(_length(each) for each in value)
    return [
        partial(world.limits.watch_windows, lengths),
        partial(world.subjects.watch_windows, lengths),
    ]


_READERS: Mapping[str, Callable[[World, Any], list[Change]]] = {
    "enabled": _enabled,
    "model": _model,
    "chat_limit": _chat_limit,
    "subjects": _subjects,
    "serial": _serial,
    "changes_count": _changes_count,
    "card_sequence": _card_sequence,
    "quota": _quota,
    "apis": _apis,
    "statuses": _statuses,
    "codes": _codes,
    "watch": _watch,
}


def _windows(text: Any) -> tuple[Window, ...] | None:
    return None if text is None else read_windows(text)


def _text(windows: tuple[Window, ...]) -> str:
    return ";".join(map(str, windows))


def _object(value: Any) -> Fields:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no JSON object")
    return value


def _known(name: Any, names: tuple[str, ...] | list[str]) -> str:
    if name not in names:
        raise ValueError(f"{name!r} is none of {', '.join(names)}")
    return str(name)


def _count(name: str, value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError(f"{name} is a number of calls, or null for any")
    return value


def _length(seconds: Any) -> float:
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or seconds <= 0:
        raise ValueError(f"{seconds!r} is no number of seconds above 0")
    return seconds
