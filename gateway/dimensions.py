"""Which buckets a call takes its permit from: its API's, and those of the things it touches. Pure.

Feishu counts calls of one API and app, messages to one chat, edits of one document, writes to one
table and more; a call needs a place in all of them. `limit_rules` holds the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from .apps import App
from .catalogue import ApiClass, Catalogue, Route
from .limit_rules import API, Cap, Rule, first_of_each_kind, limit_rules
from .limits.buckets import Bucket, bucket_of, key_of
from .own_limits import LIMITS_FILE

CARD: Final = "card"
TOTAL: Final = "app"
"""The kind of a cap that a site sets for all calls of one app."""
_MOST_PLANS: Final = 20_000
_RULES: Final = tuple(rule for rule in limit_rules() if rule.kind != API)

_Ids = tuple[str, ...]
_Find = Callable[[list[str], Mapping[str, Any], Any], _Ids | None]


@dataclass(frozen=True, slots=True)
class Share:
    """One bucket of a call. `ids` is what the bucket is of, `across` who shares it (see Rule)."""

    bucket: Bucket
    ids: _Ids
    across: str
    source: str


@dataclass(frozen=True, slots=True)
class _Part:
    """One bucket of a route: all but the ids is known before a call comes."""

    kind: str
    prefix: str
    cap: Cap
    find: _Find | None
    across: str
    source: str

    def bucket(self, ids: _Ids) -> Bucket:
        key = f"{self.prefix}|{key_of(*ids)}" if ids else self.prefix
        return Bucket(key, self.cap.windows, self.cap.at_once, self.kind)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The buckets of one route as one app uses it; `ready` where no id of a call is needed."""

    own: Share
    parts: tuple[_Part, ...]
    ready: tuple[Bucket, ...] | None

    def touched(self, path: str, query: Mapping[str, Any], body: Any) -> list[tuple[_Part, _Ids]]:
        """The parts that hold for one call, each with its ids."""
        segments = path.split("/")
        touched = []
        for part in self.parts:
            ids = part.find(segments, query, body) if part.find else ()
            if ids is not None:
                touched.append((part, ids))
        return touched


class Dimensions:
    """Finds the buckets of calls, by Feishu's rules and the site's."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._plans: dict[tuple[str, str, str | None, str], _Plan] = {}

    def replace(self, catalogue: Catalogue) -> None:
        """Take the limits of this one for all calls that come from now on."""
        self.catalogue = catalogue
        self._plans.clear()

    def buckets(
        self,
        app: App,
        tenant: str | None,
        route: Route,
        path: str,
        query: Mapping[str, Any],
        body: Any,
    ) -> tuple[Bucket, ...]:
        """All buckets, the API's own first; *path* is filled in, as Feishu will see it."""
        plan = self._plan(app, tenant, route, path)
        if plan.ready is not None:
            return plan.ready
        touched = plan.touched(path, query, body)
        return (plan.own.bucket, *(part.bucket(ids) for part, ids in touched))

    def shares(
        self,
        app: App,
        tenant: str | None,
        route: Route,
        path: str,
        query: Mapping[str, Any],
        body: Any,
    ) -> tuple[Share, ...]:
        """The same buckets, each with what it is of and where its numbers come from."""
        plan = self._plan(app, tenant, route, path)
        found = plan.touched(path, query, body)
        return (
            plan.own,
            *(Share(part.bucket(ids), ids, part.across, part.source) for part, ids in found),
        )

    def _plan(self, app: App, tenant: str | None, route: Route, path: str) -> _Plan:
        if not route.known:
            # Many APIs share its name: what one of them touches only its path says.
            return self._planned(app, tenant, route, path)
        key = (app.alias, app.domain, tenant, route.name)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                # Tenants are many; what is still used is made again in microseconds.
                self._plans.clear()
            plan = self._plans[key] = self._planned(app, tenant, route, path)
        return plan

    def _planned(self, app: App, tenant: str | None, route: Route, path: str) -> _Plan:
        windows, source = self.catalogue.limits_of(app.alias, route)
        own = Share(bucket_of(app.alias, tenant, route.name, windows), (route.name,), TOTAL, source)
        template = route.template if route.known else path
        rules = first_of_each_kind(
            _RULES,
            route.method,
            template,
            reads=route.klass is ApiClass.READS,
            filled=not route.known,
        )
        parts = [part for rule in rules.values() if (part := self._part(app, tenant, route, rule))]
        total, where = self.catalogue.total_of(app.alias)
        if total:
            prefix = f"{TOTAL}:{key_of(app.alias, tenant or '')}"
            parts.append(_Part(TOTAL, prefix, Cap(total), None, TOTAL, where))
        ready = None
        if all(part.find is None for part in parts):
            ready = (own.bucket, *(part.bucket(()) for part in parts))
        return _Plan(own, tuple(parts), ready)

    def _part(self, app: App, tenant: str | None, route: Route, rule: Rule) -> _Part | None:
        resources = self.catalogue.site.resources
        cap, source = resources.get(rule.kind, rule.cap), f"Feishu's documentation, {rule.source}"
        if cap is None:
            return None
        if rule.kind in resources:
            source = f"{LIMITS_FILE}, [resources] {rule.kind}"
        scope = {
            "app": (app.alias, tenant or ""),
            "tenant": (app.domain, tenant or ""),
            "cloud": (app.domain,),
        }[rule.across]
        named = (route.name,) if rule.of == API else ()
        prefix = f"{rule.kind}:{key_of(*scope, *named)}"
        return _Part(rule.kind, prefix, cap, _finder(rule), rule.across, source)


def sequence_of(buckets: tuple[Bucket, ...], body: Any) -> int | None:
    """The place of a card's update among all updates of the card, where the producer gave one."""
    if not isinstance(body, dict) or not any(bucket.name == CARD for bucket in buckets):
        return None
    sequence = body.get("sequence")
    return sequence if isinstance(sequence, int) and not isinstance(sequence, bool) else None


def _finder(rule: Rule) -> _Find | None:
    """How the ids of the rule's bucket are found in a call; None where it needs none."""
    if rule.of in (API, TOTAL):
        return None
    place, _, names = rule.of.partition(": ")
    if place == "receive_id":
        return _receiver(frozenset(names.split()))
    if place == "body":
        return _first_field(tuple(names.split()))
    return _segments(rule.places())


def _segments(places: tuple[int, ...]) -> _Find:
    def find(segments: list[str], _query: Mapping[str, Any], _body: Any) -> _Ids:
        # An id may come percent-encoded from `path_params` and plain in the path: one bucket.
        return tuple([unquote(segments[place]) for place in places])

    return find


def _receiver(types: frozenset[str]) -> _Find:
    def find(_segments: list[str], query: Mapping[str, Any], body: Any) -> _Ids | None:
        kind = query.get("receive_id_type")
        if not isinstance(kind, str) or kind not in types or not isinstance(body, dict):
            return None
        receiver = body.get("receive_id")
        return (kind, receiver) if isinstance(receiver, str) and receiver else None

    return find


def _first_field(names: tuple[str, ...]) -> _Find:
    def find(_segments: list[str], _query: Mapping[str, Any], body: Any) -> _Ids | None:
        if isinstance(body, dict):
            for name in names:
                given = body.get(name)
                if isinstance(given, str) and given:
                    return name, given
        return None

    return find
