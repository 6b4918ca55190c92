"""What a producer asks for: one call of one Feishu API, and every rule that it must keep."""

from __future__ import annotations

import binascii
import math
import posixpath
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Retry = Literal["safe", "never", "always"]
Scalar = str | int | float | bool
Query = dict[str, Scalar | list[Scalar]]

ALLOWED_HEADERS = ("Accept-Language", "Range", "X-Request-Id", "X-Lark-Helpdesk-Authorization")
_HEADER_NAMES = {name.lower(): name for name in ALLOWED_HEADERS}
_PRINTABLE = re.compile(r"[\x20-\x7e]{0,1024}")
_PATH = re.compile(r"/open-apis(?:/(?!\.{1,2}(?:/|\Z)|:(?:/|\Z))[A-Za-z0-9_.:@=~-]+)+")
_SEGMENT = re.compile(r"[A-Za-z0-9_.:@=~-]+")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:; ?[\w-]+=[\w.+-]+)*", re.ASCII)
_CREDENTIALS = re.compile(r"/open-apis/auth(?:en)?(?:/.*)?", re.DOTALL)
_USER_INFO = "/open-apis/authen/v1/user_info"

_SCALAR_SCHEMA = {"type": ["string", "number", "boolean"]}
_QUERY_SCHEMA = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [_SCALAR_SCHEMA, {"type": "array", "items": _SCALAR_SCHEMA}],
    },
}
_IDENTITY_SCHEMA = {
    "anyOf": [
        {"enum": ["tenant", "app", "none"]},
        *(
            {
                "type": "object",
                "properties": {key: {"type": "string", "minLength": 1}},
                "required": [key],
                "additionalProperties": False,
            }
            for key in ("tenant", "user")
        ),
    ],
    "default": "tenant",
}


class TenantKey(BaseModel):
    """A store app's token for one tenant."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    tenant: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class UserKey(BaseModel):
    """The token of a stored user grant."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    user: Annotated[str, StringConstraints(min_length=1, max_length=256)]


Identity = Literal["tenant", "app", "none"] | TenantKey | UserKey


def _query(value: Any) -> Query:
    if not isinstance(value, dict):
        raise ValueError("must be an object")  # noqa: TRY004  pydantic reports ValueError
    for key, item in value.items():
        for scalar in item if isinstance(item, list) else (item,):
            if not isinstance(scalar, str | int | float) or (
                isinstance(scalar, float) and not math.isfinite(scalar)
            ):
                raise ValueError(
                    f"'{key[:64]}' must be a string, a finite number, a boolean or a list of them"
                )
    return value


def _identity(value: Any) -> Identity:
    if isinstance(value, str) and value in ("tenant", "app", "none"):
        return value  # type: ignore[return-value]  # one of the three literals
    for model in (TenantKey, UserKey):
        try:
            return model.model_validate(value)
        except ValidationError:
            continue
    raise ValueError(
        'must be "tenant", "app", "none", {"tenant": "<tenant_key>"} or {"user": "<user key>"}'
    )


class FilePart(BaseModel):
    """One file of a multipart call; its bytes travel as base64."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    field: Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,128}$")]
    filename: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    content_type: Annotated[str, StringConstraints(max_length=128)]
    content_base64: str

    @field_validator("field", "filename")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if any(ord(char) < 0x20 or ord(char) == 0x7F for char in value):
            raise ValueError("must have no control characters")
        return value

    @field_validator("content_type")
    @classmethod
    def _media_type(cls, value: str) -> str:
        if not _MEDIA_TYPE.fullmatch(value):
            raise ValueError("must be a media type such as image/png")
        return value

    @field_validator("content_base64")
    @classmethod
    def _base64(cls, value: str) -> str:
        try:
            b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("must be base64") from error
        return value

    def content(self) -> bytes:
        """Decode the file's bytes."""
        return b64decode(self.content_base64)


class Call(BaseModel):
    """One call request. Unknown fields are refused by name."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    method: Method
    path: Annotated[str, Field(max_length=512, examples=["/open-apis/im/v1/messages"])]
    path_params: dict[str, Annotated[str, StringConstraints(max_length=256)]] = {}
    query: Annotated[Query, PlainValidator(_query), WithJsonSchema(_QUERY_SCHEMA)] = {}
    headers: dict[str, str] = {}
    body: Any = None
    form: dict[str, str] = Field(default_factory=dict)
    files: list[FilePart] = Field(default_factory=list)
    as_: Annotated[
        Identity,
        PlainValidator(_identity),
        WithJsonSchema(_IDENTITY_SCHEMA),
        Field(alias="as"),
    ] = "tenant"
    retry: Retry = "safe"

    @field_validator("path")
    @classmethod
    def _path_rules(cls, value: str) -> str:
        if _PATH.fullmatch(value):
            return value
        if not value.startswith("/open-apis/"):
            raise ValueError("must begin with /open-apis/")
        for segment in value.split("/")[2:]:
            if segment in ("", ".", "..", ":"):
                raise ValueError("segments must not be empty, '.', '..' or ':'")
            if not _SEGMENT.fullmatch(segment):
                raise ValueError("segments may hold only A-Z a-z 0-9 _ . : @ = ~ -")
        raise ValueError("is no path of segments")

    @field_validator("path_params")
    @classmethod
    def _param_rules(cls, value: dict[str, str]) -> dict[str, str]:
        for name, param in value.items():
            if param in ("", ".", ".."):
                raise ValueError(f"'{name[:64]}' must not be empty, '.' or '..'")
            if not param.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in param):
                raise ValueError(f"'{name[:64]}' must be text")
        return value

    @field_validator("headers")
    @classmethod
    def _header_rules(cls, value: dict[str, str]) -> dict[str, str]:
        named: dict[str, str] = {}
        for name, text in value.items():
            known = _HEADER_NAMES.get(name.lower())
            if known is None:
                allowed = ", ".join(ALLOWED_HEADERS)
                raise ValueError(f"'{name[:64]}' is not allowed; allowed are {allowed}")
            if known in named:
                raise ValueError(f"'{known}' is given twice")
            if not _PRINTABLE.fullmatch(text):
                raise ValueError(f"'{known}' must be printable ASCII of at most 1024 characters")
            named[known] = text
        return named

    @model_validator(mode="after")
    def _together(self) -> Call:
        names = [segment[1:] for segment in self.path.split("/") if segment.startswith(":")]
        missing = [name for name in names if name not in self.path_params]
        unused = [name for name in self.path_params if name not in names]
        if missing:
            raise ValueError(f"path_params: '{missing[0]}' is missing")
        if unused:
            raise ValueError(f"path_params: '{unused[0][:64]}' is not in the path")
        if self.multipart:
            if self.body is not None:
                raise ValueError("body: must not be given together with form or files")
            if self.method == "GET":
                raise ValueError("form, files: must not be given with GET")
        return self

    @property
    def multipart(self) -> bool:
        """Whether the call is sent as multipart/form-data."""
        return bool({"form", "files"} & self.model_fields_set)

    def filled_path(self) -> str:
        """The path with every `:name` replaced by its percent-encoded value."""
        return self._fill(lambda value: quote(value, safe="~"))

    def _fill(self, written: Callable[[str], str]) -> str:
        if "/:" not in self.path:
            return self.path
        return "/".join(
            written(self.path_params[segment[1:]]) if segment.startswith(":") else segment
            for segment in self.path.split("/")
        )

    def asks_for_credentials(self) -> bool:
        """Whether the path is one of Feishu's credential endpoints, which are the gateway's own."""
        # Filled in and decoded, `x/../auth` would lead there as well.
        path = posixpath.normpath(self._fill(str)).lower()
        if path == _USER_INFO and self.method == "GET":
            return False
        return _CREDENTIALS.fullmatch(path) is not None
