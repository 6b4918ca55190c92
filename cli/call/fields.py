"""From the words of a command line to the fields of a call."""

from __future__ import annotations

import json
import mimetypes
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from cli.exits import USAGE, CommandFailed

STDIN = "-"
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def query_of(words: Iterable[str]) -> dict[str, Any]:
    """Read `k=v` words; a key that comes again becomes a list."""
    query: dict[str, Any] = {}
    for key, value in _pairs("--query", words):
        if key not in query:
            query[key] = value
        elif isinstance(query[key], list):
            query[key].append(value)
        else:
            query[key] = [query[key], value]
    return query


def mapping_of(option: str, words: Iterable[str], *, separators: str = "=") -> dict[str, str]:
    """Read `k=v` words of an option that names each key once."""
    mapping: dict[str, str] = {}
    for key, value in _pairs(option, words, separators):
        if key in mapping:
            raise CommandFailed(USAGE, f"{option}: {key!r} is given twice")
        mapping[key] = value
    return mapping


def identity_of(word: str) -> str | dict[str, str]:
    """Read whose token to use: `tenant`, `app`, `none`, `user:KEY` or `tenant:KEY`."""
    kind, colon, key = word.partition(":")
    if not colon and kind in ("tenant", "app", "none"):
        return kind
    if key and kind in ("user", "tenant"):
        return {kind: key}
    raise CommandFailed(
        USAGE, f"--as: must be tenant, app, none, user:KEY or tenant:KEY, not {word!r}"
    )


def text_of(argument: str) -> tuple[str, str]:
    """Read what `--body` names: its text, and what to call it in an error."""
    try:
        if argument == STDIN:
            return sys.stdin.buffer.read().decode(), "standard input"
        if argument.startswith("@"):
            return Path(argument[1:]).read_text(encoding="utf-8"), argument[1:]
    except OSError as error:
        raise CommandFailed(
            USAGE, f"--body: cannot read {argument[1:]}: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise CommandFailed(USAGE, f"--body: {argument} is not UTF-8") from error
    return argument, "the argument"


def json_of(text: str, source: str) -> Any:
    """Read a JSON body; *source* says in an error where the text is from."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CommandFailed(USAGE, f"--body: {source} is not JSON: {error}") from error


def files_of(words: Sequence[str]) -> list[dict[str, str]]:
    """Read `field=path` words and the files that they name."""
    parts = []
    for field, name in _pairs("--file", words):
        path = Path(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CommandFailed(
                USAGE, f"--file: cannot read {name}: {error.strerror or error}"
            ) from error
        parts.append(
            {
                "field": field,
                "filename": path.name,
                "content_type": mimetypes.guess_type(name)[0] or "application/octet-stream",
                "content_base64": b64encode(content).decode(),
            }
        )
    return parts


def written(fields: Mapping[str, Any]) -> bytes:
    """The body of the message, without the fields that were not given."""
    given = {name: value for name, value in fields.items() if value not in (None, {}, [])}
    try:
        return _JSON.encode(given).encode()
    except (ValueError, RecursionError) as error:
        raise CommandFailed(USAGE, f"The call cannot be written as JSON: {error}") from error


def _pairs(option: str, words: Iterable[str], separators: str = "=") -> Iterable[tuple[str, str]]:
    for word in words:
        place = min((at for sign in separators if (at := word.find(sign)) > 0), default=0)
        if not place:
            raise CommandFailed(USAGE, f"{option}: write key=value, not {word!r}")
        value = word[place + 1 :]
        yield word[:place], value.lstrip() if word[place] == ":" else value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
