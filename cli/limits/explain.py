"""`lark-service limits explain`: every bucket of one call, and where its numbers come from."""

from __future__ import annotations

import asyncio
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
from cli.quiet import be_quiet
from gateway.apps import DEFAULT_ALIAS, App
from gateway.catalogue import Catalogue
from gateway.dimensions import Dimensions
from gateway.settings import load_settings
from schemas.call import Call

from .stored import NEEDED, Known, file_limits, known_limits
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
    settings = load_settings(only=NEEDED)
    if alias == DEFAULT_ALIAS:
        known = Known(file_limits(settings), {})
    else:
        be_quiet()
        known = asyncio.run(known_limits(settings))
    domain = known.domains.get(alias, settings.domain)
    explanation = explanation_of(call, App(alias, "", SecretStr(""), domain), known.catalogue)
    if known.away is not None:
        sys.stderr.write(f"Without the limits that Postgres may hold for the app: {known.away}\n")
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
