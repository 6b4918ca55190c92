"""One API request as the simulated Feishu sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from schemas.apis import Api, is_parameter


@dataclass(frozen=True, slots=True)
class Upload:
    """A file part of a multipart body."""

    filename: str
    content_type: str
    content: bytes


@dataclass(slots=True)
class ApiRequest:
    """What arrived; `app_id`, `tenant` and `token` (a fingerprint) are claims until checked.

    `tenant` is empty where the app has only one.
    """

    method: str
    path: str
    query_string: str
    content_type: str
    authorization: str
    body: bytes
    api: Api
    number: int = 0
    app_id: str = ""
    tenant: str = ""
    token: str = ""
    user: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)
    _json: Any = None
    _query: dict[str, list[str]] | None = None
    _body_hash: str | None = None
    _key: str | None = None

    @property
    def account(self) -> str:
        """Whose quota and things it uses: the app's, of a store app those of one tenant."""
        return f"{self.app_id}@{self.tenant}" if self.tenant else self.app_id

    @property
    def json(self) -> dict[str, Any] | None:
        """The body, or None when it is no JSON object."""
        if self._json is None and self.body and not self.is_multipart:
            try:
                self._json = orjson.loads(self.body)
            except orjson.JSONDecodeError:
                self._json = False
        return self._json if isinstance(self._json, dict) else None

    @property
    def is_multipart(self) -> bool:
        return self.content_type.lower().startswith("multipart/form-data")

    def query(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next(iter(self.queries(name)), default)

    def queries(self, name: str) -> list[str]:
        """All values of a query parameter."""
        if self._query is None:
            self._query = parse_qs(self.query_string, keep_blank_values=True)
        return self._query.get(name, [])

    def param(self, name: str) -> str:
        """The decoded value of a path parameter of the template, empty when it has none such."""
        template = self.api.template.split("/")
        for segment, value in zip(template, self.path.split("/"), strict=False):
            if is_parameter(segment) and segment[1:] == name:
                return unquote(value)
        return ""

    @property
    def key(self) -> str:
        """The idempotency key, where the API has a place for one and it is filled."""
        if self._key is None:
            self._key = self._find_key()
        return self._key

    def _find_key(self) -> str:
        place, _, name = (self.api.idempotency_key or "").partition(".")
        if place == "query":
            return self.query(name)
        if place == "body" and self.json is not None:
            value = self.json.get(name)
            return value if isinstance(value, str) else ""
        return ""

    @property
    def body_hash(self) -> str:
        """A short hash of the body, empty for an empty body."""
        if self._body_hash is None:
            self._body_hash = hashlib.sha256(self.body).hexdigest()[:16] if self.body else ""
        return self._body_hash
