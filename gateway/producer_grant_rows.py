"""What a producer may call, as Postgres holds it, and what may become a row. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.apis import is_parameter

from .app_rows import RegistryError
from .catalogue import Catalogue, Route

EVERY: Final = "*"
"""As an API, every one; as a method, each."""
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BELOW: Final = "/*"
_PATH: Final = re.compile(r"/open-apis(?:/[A-Za-z0-9_.:@=~-]+)*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MOST_BYTES: Final = 255
"""Of a RabbitMQ user's name in the property user_id."""


@dataclass(frozen=True, slots=True)
class Apis:
    """One API or several: compared word by word, nothing of it is a pattern of characters."""

    method: str
    segments: tuple[str, ...]
    below: bool
    """All whose path begins so and goes on."""

    def __str__(self) -> str:
        if self == _ALL:
            return EVERY
        return f"{self.method} {'/'.join(self.segments)}{_BELOW if self.below else ''}"

    def hold(self, method: str, path: str, route: Route) -> bool:
        """Whether a call is of them; *route* is what the catalogue makes of method and path."""
        if self.method not in (EVERY, method):
            return False
        segments = path.split("/")
        if self.below:
            own = len(self.segments)
            return len(segments) > own and tuple(segments[:own]) == self.segments
        if route.known:
            # Not by the path: `chats/search` would be a chat of that name.
            return _same(self.segments, route.template.split("/"))
        return len(segments) == len(self.segments) and all(
            is_parameter(wanted) or wanted == segment
            for wanted, segment in zip(self.segments, segments, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """One row: this producer may call these APIs of this app or pool."""

    producer: str
    alias: str
    apis: Apis
    user_tokens: bool = False
    """In the name of users who authorized the app, too."""


_ALL: Final = Apis(EVERY, ("", "open-apis"), below=True)


def read_apis(text: str) -> Apis:
    """`METHOD PATH`, `METHOD PATH/*` or `*`; raises RegistryError saying what it must be."""
    if text.strip() == EVERY:
        return _ALL
    method, _, path = text.strip().partition(" ")
    path = path.strip()
    below = path.endswith(_BELOW)
    path = path.removesuffix(_BELOW) if below else path
    segments = tuple(path.split("/"))
    if method not in (*_METHODS, EVERY):
        raise _no_api(text, f"the method is one of {', '.join(_METHODS)}, or * for each")
    if not _PATH.fullmatch(path) or {".", "..", ":"} & set(segments):
        raise _no_api(text, "the path begins with /open-apis/ and is made as Feishu documents it")
    if below and any(map(is_parameter, segments)):
        raise _no_api(text, "before /* stand words alone, and no parameter such as :user_id")
    return Apis(method, segments, below)


def as_documented(apis: Apis, catalogue: Catalogue) -> tuple[Apis, bool]:
    """The same in the catalogue's words, and whether it knows the API.

    Raises RegistryError for one resource of an API: it would match no call.
    """
    if apis.below:
        return apis, True
    path = "/".join(apis.segments)
    methods = _METHODS if apis.method == EVERY else (apis.method,)
    known = [route for method in methods if (route := catalogue.route(method, path)).known]
    if not known:
        return apis, False
    template = known[0].template.split("/")
    if not _same(apis.segments, template):
        raise RegistryError(
            f"'{apis}' is one resource of the API '{known[0].name}': grants are of whole APIs"
        )
    return replace(apis, segments=tuple(template)), True


def read_grant(row: Mapping[str, Any]) -> Grant:
    """Make a grant of its row; raises RegistryError for what no command writes."""
    return Grant(row["producer"], row["alias"], read_apis(row["api"]), row["user_tokens"])


def check_producer(name: str) -> None:
    """Raise RegistryError for what is no name of a RabbitMQ user that a command line can hold."""
    if not 0 < len(name.encode("utf-8", "surrogateescape")) <= _MOST_BYTES:
        raise RegistryError(f"the name of a RabbitMQ user is 1 to {_MOST_BYTES} bytes long")
    if _CONTROL.search(name) or name != name.strip() or name.startswith("-"):
        raise RegistryError(
            "the name of a producer's RabbitMQ user has no control characters, no spaces around "
            "it and no - at its beginning; give the producer another user"
        )


def _same(one: tuple[str, ...], other: list[str]) -> bool:
    """Whether two templates differ in nothing but the names of parameters."""
    return len(one) == len(other) and all(
        a == b or (is_parameter(a) and is_parameter(b)) for a, b in zip(one, other, strict=True)
    )


def _no_api(text: str, rule: str) -> RegistryError:
    return RegistryError(
        f"{text[:200]!r} names no API: {rule}; write it as "
        "'POST /open-apis/im/v1/messages', or 'GET /open-apis/contact/*' for all below a path"
    )
