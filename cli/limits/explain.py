"""`lark-service limits explain`: every bucket of one call, and where its numbers come from."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.text import Text

from cli.call.command import checked_call
from cli.call.fields import written
from cli.call.options import Alias, Body, Method, Param, Path, Query, request_of
from gateway.apps import DEFAULT_ALIAS, App
from gateway.catalogue import Catalogue
from gateway.dimensions import Dimensions
from gateway.settings import load_settings
from gateway.site_limits import load_limits_file
from schemas.apis import ApiTable
from schemas.call import Call

from .words import BucketWords, Explanation


def explain_command(
    method: Method,
    path: Path,
    query: Query = [],  # noqa: B006  typer copies it
    param: Param = [],  # noqa: B006
    body: Body = None,
    alias: Alias = DEFAULT_ALIAS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every bucket that a call takes a permit from, and where each number comes from."""
    content = written(request_of(method, path, param, query, body))
    call = checked_call(content, alias)
    settings = load_settings(only={"LARK_DOMAIN", "LARK_SERVICE_LIMITS_FILE"})
    catalogue = Catalogue(ApiTable.load(), load_limits_file(settings.limits_file))
    explanation = explanation_of(call, App(alias, "", SecretStr(""), settings.domain), catalogue)
    if as_json:
        sys.stdout.write(json.dumps(explanation.as_json(), ensure_ascii=False) + "\n")
    else:
        show_explanation(Console(), explanation)


def explanation_of(call: Call, app: App, catalogue: Catalogue) -> Explanation:
    """Work out the buckets as a gateway would; contacts nothing and needs no secret."""
    dimensions = Dimensions(catalogue)
    path = call.filled_path()
    route = catalogue.route(call.method, path)
    shares = dimensions.shares(app, None, route, path, call.query, call.body)
    return Explanation(
        app.alias, route.name, route.known, tuple(BucketWords(share, app) for share in shares)
    )


def show_explanation(console: Console, explanation: Explanation) -> None:
    """Print it bucket by bucket, the API's own first."""
    _line(console, (explanation.api, "bold"), f", app {explanation.app}")
    for bucket in explanation.buckets:
        console.print()
        _line(console, (f"{bucket.kind:<10}", "bold cyan"), f"{bucket.of}, {bucket.shared_by}")
        for window in bucket.windows():
            _fact(console, "window", window.text())
        if bucket.at_once:
            _fact(console, "at once", str(bucket.at_once))
        _fact(console, "from", bucket.source)
        _fact(console, "key", bucket.key)


def _fact(console: Console, name: str, value: str) -> None:
    _line(console, (f"  {name:<8}", "cyan"), value)


def _line(console: Console, *parts: str | tuple[str, str]) -> None:
    # Ids are what somebody wrote: brackets in them are no markup, and long lines stay whole.
    console.print(Text.assemble(*parts), soft_wrap=True)
