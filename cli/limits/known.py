"""What a bucket's key says of it: whose it is, of what, and which windows it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

from gateway.catalogue import Catalogue, Route
from gateway.dimensions import TOTAL
from gateway.limit_rules import API, KINDS, Cap, Rule, first_of_each_kind, limit_rules
from gateway.limits.buckets import Bucket
from schemas.apis import Window
from schemas.call import Method

UNLIMITED: Final = 999_999_999
"""The limit of a window where the key does not tell it; calls are counted all the same."""
_COUNTED: Final = (Window(UNLIMITED, 60), Window(UNLIMITED, 1))


@dataclass(frozen=True, slots=True)
class Named:
    """A bucket and what it is of. `app` is None where several apps share it."""

    bucket: Bucket
    kind: str
    app: str | None
    of: str


class Keys:
    """Reads keys as the catalogue and the site's limits explain them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def read(self, key: str) -> Named:
        """What the key says; a key that nothing explains is shown as it is."""
        kind, _, rest = key.partition(":")
        if kind in (*KINDS, TOTAL):
            return self._thing(key, kind, rest.split("|"))
        parts = key.split("|")
        if len(parts) != 3:
            return Named(Bucket(key, _COUNTED), "", None, key)
        alias, tenant, name = parts
        route = self._route(name)
        windows = self._catalogue.limits_of(alias, route)[0] if route else _COUNTED
        of = f"{name}, tenant {tenant}" if tenant else name
        return Named(Bucket(key, windows, name=name), API, alias, of)

    def _thing(self, key: str, kind: str, parts: list[str]) -> Named:
        rules = [rule for rule in limit_rules() if rule.kind == kind]
        if kind == TOTAL:
            total, _ = self._catalogue.total_of(parts[0])
            cap = Cap(total) if total else None
            return Named(_bucket(key, cap, kind), kind, parts[0], _of([], parts[1:2]))
        across = rules[0].across
        ids = parts[1:] if across == "cloud" else parts[2:]
        own = parts[0] if across == TOTAL else None
        cap = self._catalogue.site.resources.get(kind) or self._cap(rules, ids)
        tenant = [] if across == "cloud" else parts[1:2]
        return Named(_bucket(key, cap, kind), kind, own, _of(ids, tenant))

    def _cap(self, rules: list[Rule], ids: list[str]) -> Cap | None:
        caps = {rule.cap for rule in rules}
        if len(caps) == 1:
            return caps.pop()
        # Rules of one kind that differ are of single APIs, whose name ends the key.
        route = self._route(ids[-1]) if ids else None
        if route is None:
            return None
        found = first_of_each_kind(rules, route.method, route.template, reads=False, filled=False)
        return next((rule.cap for rule in found.values()), None)

    def _route(self, name: str) -> Route | None:
        method, _, path = name.partition(" ")
        route = self._catalogue.route(method, path) if method in get_args(Method) and path else None
        return route if route is not None and route.name == name else None


def _of(ids: list[str], tenant: list[str]) -> str:
    of = " ".join(ids) or "all calls"
    return f"{of}, tenant {tenant[0]}" if any(tenant) else of


def _bucket(key: str, cap: Cap | None, kind: str) -> Bucket:
    if cap is None:
        return Bucket(key, _COUNTED, name=kind)
    return Bucket(key, cap.windows, cap.at_once, kind)
