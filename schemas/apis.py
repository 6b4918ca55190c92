"""Feishu's server APIs as data: their rate limits, tokens and idempotency keys."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Self

_WINDOW = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` requests in any `seconds` seconds."""

    limit: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.limit}/{self.seconds}"


@dataclass(frozen=True, slots=True)
class Api:
    """One API as documented; `windows` is empty where the documentation gives no figure.

    `idempotency_key` is a place and a field, such as `body.uuid` or `query.client_token`.
    `special` says that the documentation speaks of a limit without its figure.
    """

    method: str
    template: str
    windows: tuple[Window, ...] = ()
    special: bool = False
    tokens: frozenset[str] = frozenset()
    idempotency_key: str | None = None
    reads: bool = False
    multipart: bool = False
    app_types: frozenset[str] = frozenset()
    historic: bool = False

    @property
    def name(self) -> str:
        """Method and template, the form in which operators and metrics name an API."""
        return f"{self.method} {self.template}"


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    api: Api | None = None


class ApiTable:
    """All known APIs, found by path.

    Raises ValueError when two APIs differ in nothing but the names of their parameters.
    """

    def __init__(self, apis: Iterable[Api]) -> None:
        self._apis = tuple(apis)
        self._roots: dict[str, _Node] = {}
        for api in self._apis:
            self._add(api)

    @classmethod
    def load(cls) -> Self:
        """The table that comes with the package."""
        source = files(__package__).joinpath("data", "feishu_apis.csv")
        rows = csv.DictReader(source.read_text(encoding="utf-8").splitlines())
        return cls(_api(row) for row in rows)

    def match(self, method: str, path: str) -> Api | None:
        """The API of a concrete path, or of a template whose `:name` segments may be named freely.

        From the left, a literal segment wins over a parameter wherever both lead to an API.
        """
        root = self._roots.get(method)
        if root is None or not path.startswith("/"):
            return None
        return _find(root, path.split("/"), 1)

    def __iter__(self) -> Iterator[Api]:
        return iter(self._apis)

    def __len__(self) -> int:
        return len(self._apis)

    def _add(self, api: Api) -> None:
        node = self._roots.setdefault(api.method, _Node())
        for segment in api.template.split("/")[1:]:
            if is_parameter(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        if node.api is not None:
            raise ValueError(f"{api.name} and {node.api.name} match the same paths")
        node.api = api


def is_parameter(segment: str) -> bool:
    """Whether a path segment is a placeholder; a colon further in is an ordinary character."""
    return len(segment) > 1 and segment[0] == ":"


def parse_windows(text: str) -> tuple[Window, ...]:
    """Read `1000/60;50/1`: requests per seconds, several joined by semicolons.

    Raises ValueError naming the part that is wrong.
    """
    windows: list[Window] = []
    for part in text.split(";"):
        parsed = _WINDOW.fullmatch(part.strip())
        if parsed is None:
            raise ValueError(f"{part.strip()!r} is no limit, write requests/seconds such as 50/1")
        windows.append(Window(int(parsed[1]), int(parsed[2])))
    if len({window.seconds for window in windows}) < len(windows):
        raise ValueError(f"{text!r} gives two limits for the same number of seconds")
    return tuple(windows)


def _find(node: _Node, segments: list[str], index: int) -> Api | None:
    if index == len(segments):
        return node.api
    segment = segments[index]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _find(literal, segments, index + 1)
        if found is not None:
            return found
    if node.parameter is None or not segment:
        return None
    return _find(node.parameter, segments, index + 1)


def _api(row: dict[str, str]) -> Api:
    limits = row["limits"]
    special = limits == "special"
    return Api(
        method=row["method"],
        template=row["path"],
        windows=() if special or not limits else parse_windows(limits),
        special=special,
        tokens=_set(row["tokens"]),
        idempotency_key=row["idempotency_key"] or None,
        reads=row["reads"] == "1",
        multipart=row["content"] == "multipart",
        app_types=_set(row["app_types"]),
        historic=row["historic"] == "1",
    )


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split("|")) if text else frozenset()
