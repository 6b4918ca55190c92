"""What is sent to Feishu for one call. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from aiohttp import FormData
from yarl import URL

from schemas.call import Call, FilePart, Query
from schemas.reply import ErrorType

from .errors import Refused

_JSON = "application/json; charset=utf-8"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: everything but the token. A multipart body is built anew for each attempt."""

    method: str
    url: URL
    headers: Mapping[str, str]
    content: bytes | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    files: tuple[FilePart, ...] = ()
    multipart: bool = False

    def payload(self) -> bytes | FormData | None:
        """The body for one attempt."""
        if not self.multipart:
            return self.content
        # Names go as UTF-8: Feishu would take a quoted name for the name itself.
        data = FormData(quote_fields=False, default_to_multipart=True)
        for name, value in self.form.items():
            data.add_field(_CONTROL.sub(_percent, name), value)
        for part in self.files:
            data.add_field(
                part.field, part.content(), filename=part.filename, content_type=part.content_type
            )
        return data


def build_request(domain: str, call: Call, query: Query, body: Any) -> Request:
    """Build the request; *query* and *body* may carry a key that the producer left out."""
    origin = urlsplit(domain)
    path = call.filled_path()
    url = URL.build(
        scheme=origin.scheme,
        authority=origin.netloc.lower(),
        path=path,
        query_string=_query_string(query),
        encoded=True,
    )
    # The path rules already exclude it; a token must not go elsewhere if they ever fail.
    if (url.scheme, url.host, url.raw_path) != (origin.scheme, origin.hostname, path):
        raise Refused(ErrorType.INVALID_CALL, "path: does not stay on Feishu's host")
    headers = dict(call.headers)
    if call.multipart:
        return Request(
            call.method,
            url,
            headers,
            form=call.form,
            files=tuple(call.files),
            multipart=True,
        )
    content = None
    if body is not None:
        headers["Content-Type"] = _JSON
        content = orjson.dumps(body)
    return Request(call.method, url, headers, content=content)


def _percent(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _query_string(query: Query) -> str:
    pairs = []
    for key, item in query.items():
        name = quote(key, safe="~")
        pairs += [
            f"{name}={quote(_text(value), safe='~')}"
            for value in (item if isinstance(item, list) else (item,))
        ]
    return "&".join(pairs)


def _text(value: str | float | bool) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
