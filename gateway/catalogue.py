"""Which API a call is of: its name, its limits, its class and the place of its idempotency key."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Literal

from schemas.apis import Api, ApiTable, Window, is_parameter

from .limit_rules import API, first_of_each_kind, limit_rules
from .own_limits import LIMITS_FILE, resolve_site, source_of_limits, source_of_total
from .site_limits import AppLimits, SiteLimits

CAUTIOUS: Final = (Window(5, 1),)
"""For APIs without a published figure: what Feishu grants its delicate APIs, such as drive.

Most APIs may do more. Where one may do less, Feishu's first 99991400 pauses its bucket.
"""


DOCUMENTED: Final = "Feishu's documentation"
NO_FIGURE: Final = "a cautious default, because Feishu's documentation gives no figure"
NOT_LISTED: Final = "a cautious default, because Feishu's documentation does not list this API"


class ApiClass(StrEnum):
    """What repeating a call of an API does."""

    READS = "R"
    REPEATABLE = "I"
    KEYED = "K"
    NEITHER = "N"


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where Feishu expects the key by which it discards repeats."""

    place: Literal["body", "query"]
    field: str


@dataclass(frozen=True, slots=True)
class Route:
    """The API of a call; `name` is bucket and metric label, and there is a bounded number of them.

    `known` is false for a path that neither the documentation nor the site's limits name.
    `limits_from` says where the windows come from, in words for operators.
    """

    name: str
    method: str
    template: str
    klass: ApiClass
    windows: tuple[Window, ...]
    idempotency_key: KeyPlace | None
    tokens: frozenset[str]
    known: bool
    limits_from: str = field(default=NOT_LISTED, compare=False)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A call's query and body. `placed`: they hold a key, the producer's or the given one."""

    query: Mapping[str, Any]
    body: Any
    placed: bool


class Catalogue:
    """The routes of all APIs that are documented or that the site's limits name.

    Raises LimitsError for limits that cannot be resolved (see `resolve_site`).
    """

    def __init__(self, table: ApiTable, site: SiteLimits | None = None) -> None:
        self.site = site or SiteLimits()
        self._documented = table
        own = self._own = resolve_site(table, self.site)
        self.unlisted: tuple[str, ...] = tuple(api.name for api in own.added)
        """The site's limits for APIs without documentation: new at Feishu, or misspelt."""
        self.left_out = own.left_out
        """Why what Postgres holds for an app cannot be used, by alias."""
        self._table = ApiTable([*table, *own.added]) if own.added else table
        self._routes = {
            (api.method, api.template): _route(api, own.everyones.get(api.name))
            for api in self._table
        }
        self._services = frozenset(_services(table))

    def route(self, method: str, path: str) -> Route:
        """The route of a path as Feishu will see it, its parameters filled in and encoded.

        All unknown paths of one method and one service share a name, and thus a cautious bucket:
        ids cannot be told from words in them, so a finer name would give every id its own bucket.
        """
        api = self._table.match(method, path)
        if api is not None:
            return self._routes[api.method, api.template]
        service = tuple(path.split("/")[2:4])
        while service and service not in self._services:
            service = service[:-1]
        template = "/".join(("/open-apis", *service, "*"))
        return _route(Api(method, template), known=False)

    def limits_of(self, alias: str, route: Route) -> tuple[tuple[Window, ...], str]:
        """The windows of an API for one app, and where they come from."""
        own = self._own.by_app.get(alias, {}).get(route.name)
        if own is None:
            return route.windows, route.limits_from
        return own, source_of_limits(alias, self.site.apps[alias])

    def total_of(self, alias: str) -> tuple[tuple[Window, ...], str]:
        """The cap of all calls of one app, empty where there is none, and where it comes from."""
        app = self.site.apps.get(alias)
        if app is None or alias in self.left_out:
            return (), ""
        return app.total, source_of_total(alias, app)

    def with_apps(self, apps: Mapping[str, AppLimits]) -> Catalogue:
        """The same with these apps' own limits, in the place of those that the site has for them.

        Takes some hundredths of a second.
        """
        # After the file's, so that these are checked against those and not the other way round.
        others = {alias: app for alias, app in self.site.apps.items() if alias not in apps}
        return Catalogue(self._documented, replace(self.site, apps=others | dict(apps)))

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())


def class_of(route: Route, placed: bool) -> ApiClass:
    """The class of one call, where *placed* says whether its key found a place (see Keyed).

    An API with a key is K whatever its method: a DELETE of a document's blocks by index repeats
    harmlessly with its key alone. Without a place for it, the class is that of the method.
    """
    if route.klass is ApiClass.KEYED and not placed:
        return _class_of_method(route.method)
    return route.klass


def derive_key(alias: str, call_id: str) -> str:
    """The key that every attempt of a call carries, whichever process makes it.

    A UUID of version 4 in form, 36 characters: the one form that every API with a key accepts.
    """
    # No alias holds a slash, so no two pairs of alias and call id read alike.
    digest = hashlib.sha256(f"lark-service/{alias}/{call_id}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def with_idempotency_key(route: Route, query: Mapping[str, Any], body: Any, key: str) -> Keyed:
    """Put *key* where the API expects one, unless the producer has put one there already.

    An empty value is no key. A key in the body needs a body that is an object.
    """
    match route.idempotency_key:
        case KeyPlace("query", field):
            return Keyed(_filled(query, field, key), body, placed=True)
        case KeyPlace("body", field) if isinstance(body, dict):
            return Keyed(query, _filled(body, field, key), placed=True)
    return Keyed(query, body, placed=False)


def _filled(fields: Mapping[str, Any], field: str, key: str) -> Mapping[str, Any]:
    given = fields.get(field)
    return {**fields, field: key} if given in (None, "", []) else fields


def _services(table: ApiTable) -> Iterator[tuple[str, ...]]:
    for api in table:
        service = tuple(api.template.split("/")[2:4])
        yield service[:1]
        if not any(is_parameter(segment) for segment in service):
            yield service


def _route(api: Api, own: tuple[Window, ...] | None = None, *, known: bool = True) -> Route:
    place, _, field_name = (api.idempotency_key or "").partition(".")
    key = KeyPlace("body" if place == "body" else "query", field_name) if field_name else None
    windows, source = _limits(api, own, known=known)
    return Route(
        name=api.name,
        method=api.method,
        template=api.template,
        klass=_class_of_api(api),
        windows=windows,
        idempotency_key=key,
        tokens=api.tokens,
        known=known,
        limits_from=source,
    )


def _limits(
    api: Api, own: tuple[Window, ...] | None, *, known: bool
) -> tuple[tuple[Window, ...], str]:
    if own:
        return own, f"{LIMITS_FILE}, [limits]"
    if not known:
        return CAUTIOUS, NOT_LISTED
    if api.windows:
        return api.windows, DOCUMENTED
    rules = (rule for rule in limit_rules() if rule.kind == API)
    rule = first_of_each_kind(rules, api.method, api.template, reads=api.reads, filled=False)
    if API in rule:
        return rule[API].cap.windows, f"{DOCUMENTED}, {rule[API].source}"
    return CAUTIOUS, NO_FIGURE


def _class_of_api(api: Api) -> ApiClass:
    if api.reads:
        return ApiClass.READS
    return ApiClass.KEYED if api.idempotency_key else _class_of_method(api.method)


def _class_of_method(method: str) -> ApiClass:
    if method == "GET":
        return ApiClass.READS
    return ApiClass.NEITHER if method == "POST" else ApiClass.REPEATABLE
