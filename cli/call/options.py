"""Words of a command line that more than one command takes: a request, and whose it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .fields import json_of, mapping_of, query_of, text_of

Words = list[str]
Method = Annotated[str, typer.Argument(help="GET, POST, PUT, PATCH or DELETE.")]
Path = Annotated[str, typer.Argument(help="A path of Feishu's, /open-apis/….")]
Query = Annotated[Words, typer.Option("--query", "-q", help="key=value; again for a list.")]
Param = Annotated[Words, typer.Option("--param", "-p", help="name=value for a :name in the path.")]
Body = Annotated[
    str | None, typer.Option("--body", "-d", help="JSON, @FILE, or - for standard input.")
]
Alias = Annotated[str, typer.Option("--app", help="The app's alias.")]


def request_of(
    method: str, path: str, param: Words, query: Words, body: str | None
) -> dict[str, Any]:
    """The fields of a call that say what is asked for; raises CommandFailed."""
    return {
        "method": method.upper(),
        "path": path,
        "path_params": mapping_of("--param", param),
        "query": query_of(query),
        "body": None if body is None else json_of(*text_of(body)),
    }
