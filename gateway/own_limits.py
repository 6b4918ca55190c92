"""What a site's limits come to: windows by API, for all apps and for single ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from schemas.apis import Api, ApiTable, Window, is_parameter
from schemas.call import Method

from .site_limits import AppLimits, Limits, LimitsError, SiteLimits, stored_source

LIMITS_FILE: Final = "LARK_SERVICE_LIMITS_FILE"
_METHODS: Final = get_args(Method)

Windows = tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """The windows that a site sets, by API name."""

    added: tuple[Api, ...]
    """APIs that only the site names."""
    everyones: Mapping[str, Windows]
    by_app: Mapping[str, Mapping[str, Windows]]
    left_out: Mapping[str, str]
    """Why what Postgres holds for an app cannot be used, by alias."""


def resolve_site(table: ApiTable, site: SiteLimits) -> OwnLimits:
    """Find the API of every entry.

    Raises LimitsError for entries of the file that cannot be used; those of an app in Postgres are
    left out, so that one row harms one app.
    """
    added: list[Api] = []
    mistakes: list[str] = []
    left_out: dict[str, str] = {}

    def resolved(limits: Limits, where: str) -> dict[str, Windows]:
        whole = ApiTable([*table, *added]) if added else table
        apis = _resolve(whole, limits, where)
        added.extend(api for api in apis if whole.match(api.method, api.template) is None)
        return {api.name: windows for api, windows in apis.items()}

    everyones: dict[str, Windows] = {}
    by_app: dict[str, dict[str, Windows]] = {}
    try:
        everyones = resolved(site.limits, f"{site.source}: [limits]")
    except LimitsError as error:
        mistakes.append(str(error))
    for alias, app in site.apps.items():
        source = stored_source(alias) if app.stored else site.source
        try:
            by_app[alias] = resolved(app.limits, f"{source}: [apps.{alias}.limits]")
        except LimitsError as error:
            if app.stored:
                left_out[alias] = str(error)
            else:
                mistakes.append(str(error))
    if mistakes:
        raise LimitsError("\n".join(mistakes))
    return OwnLimits(tuple(added), everyones, by_app, left_out)


def source_of_total(alias: str, app: AppLimits) -> str:
    """Where the cap of all calls of an app comes from, in words for operators."""
    if app.stored:
        return f"{stored_source(alias)}, total"
    return f"{LIMITS_FILE}, [apps.{alias}] total"


def source_of_limits(alias: str, app: AppLimits) -> str:
    """Where the windows of single APIs of an app come from, in words for operators."""
    if app.stored:
        return f"{stored_source(alias)}, [limits]"
    return f"{LIMITS_FILE}, [apps.{alias}.limits]"


def _resolve(table: ApiTable, limits: Limits, where: str) -> dict[Api, Windows]:
    """The limits by API; an API that the table lacks is made up from the entry's template.

    Raises LimitsError for an entry that names no API, one resource of an API, or an API again.
    """
    own: dict[Api, Windows] = {}
    shapes: set[tuple[str, ...]] = set()
    mistakes: list[str] = []
    for name, windows in limits.items():
        try:
            api = _named(table, name)
        except ValueError as error:
            mistakes.append(f"{where} {name!r}: {error}")
            continue
        if _shape(api) in shapes:
            mistakes.append(f"{where} {name!r}: names {api.name} for the second time")
        shapes.add(_shape(api))
        own[api] = windows
    if mistakes:
        raise LimitsError("\n".join(mistakes))
    return own


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
