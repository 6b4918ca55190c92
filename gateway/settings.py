"""What the operator may set. Built once, at the edge; all mistakes are reported at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from .environment import SECRETS, forms_of, read_secrets, read_variables
from .errors import ConfigError

__all__ = ["SECRETS", "LogLevel", "Settings", "load_settings"]

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Settings(BaseModel):
    """The effective settings of one process. Times are seconds."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, str_strip_whitespace=True)

    app_id: Annotated[str, Field(alias="LARK_APP_ID", min_length=1)] = Field(
        description="App id of the app with the alias `default`."
    )
    app_secret: Annotated[SecretStr, Field(alias="LARK_APP_SECRET", min_length=1)] = Field(
        description="Its secret."
    )
    domain: Annotated[str, Field(alias="LARK_DOMAIN")] = Field(
        default="https://open.feishu.cn",
        description="Feishu (https://open.feishu.cn), Lark (https://open.larksuite.com), a private "
        "domain, or the sandbox.",
    )
    rabbitmq_url: Annotated[SecretStr, Field(alias="RABBITMQ_URL")] = Field(
        default=SecretStr("amqp://guest:guest@127.0.0.1:5672/"),
        description="RabbitMQ: amqp:// or amqps://, with any port and vhost.",
    )
    redis_url: Annotated[SecretStr, Field(alias="REDIS_URL")] = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis: redis:// or rediss://, with any port and database.",
    )
    database_url: Annotated[SecretStr, Field(alias="DATABASE_URL")] = Field(
        default=SecretStr("postgresql://lark@127.0.0.1:5432/lark_service"),
        description="Postgres; instead of it POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB, "
        "POSTGRES_USER and POSTGRES_PASSWORD may be set.",
    )
    secret_key: Annotated[SecretStr | None, Field(alias="LARK_SERVICE_SECRET_KEY")] = Field(
        default=None,
        description="Master key for secrets at rest: 32 bytes in hex, base64 or base64url; "
        "several, newest first, separated by commas, are a key ring. Unset: derived from "
        "LARK_APP_SECRET.",
    )
    api_timeout: Annotated[float, Field(alias="API_TIMEOUT", gt=0, le=600)] = Field(
        default=30.0, description="Seconds that one request to Feishu may take."
    )
    log_level: Annotated[LogLevel, Field(alias="LOG_LEVEL")] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Annotated[Literal["json", "console"], Field(alias="LARK_SERVICE_LOG_FORMAT")] = (
        Field(default="json", description="json, or console for people.")
    )
    prefetch: Annotated[int, Field(alias="LARK_SERVICE_PREFETCH", ge=1, le=2000)] = Field(
        default=200, description="Unacked calls that one process holds per queue."
    )
    max_processes: Annotated[int, Field(alias="LARK_SERVICE_MAX_PROCESSES", ge=1, le=1000)] = Field(
        default=4,
        description="Processes that share the limits while Redis was never seen; afterwards the "
        "number last seen alive counts.",
    )
    limits_file: Annotated[Path | None, Field(alias="LARK_SERVICE_LIMITS_FILE")] = Field(
        default=None,
        description="TOML file with the site's own limits, as docs/limits.md describes it.",
    )
    limits: Annotated[Literal["enforce", "observe"], Field(alias="LARK_SERVICE_LIMITS")] = Field(
        default="enforce",
        description="enforce keeps the rate limits. observe makes no call wait, and logs each "
        "minute which window model fits Feishu's answers: run one process, and expect rejections.",
    )
    health_host: Annotated[str, Field(alias="LARK_SERVICE_HEALTH_HOST")] = Field(
        default="127.0.0.1", description="Address of /livez, /readyz and /metrics."
    )
    health_port: Annotated[int, Field(alias="LARK_SERVICE_HEALTH_PORT", ge=0, le=65535)] = Field(
        default=8080, description="Its port; 0 takes any free one."
    )
    oauth: Annotated[Literal["v2", "v3"], Field(alias="LARK_SERVICE_OAUTH")] = Field(
        default="v3",
        description="Feishu's endpoint that refreshes user grants. v3 takes every refresh token; "
        "v2 only those that v2 gave, so go back to it for new grants alone.",
    )
    drain_timeout: Annotated[float, Field(alias="LARK_SERVICE_DRAIN_TIMEOUT", gt=0, le=25)] = Field(
        default=25.0, description="Seconds to finish what was started, after SIGTERM."
    )

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        return checked_domain(value)

    @field_validator("rabbitmq_url", "redis_url", "database_url")
    @classmethod
    def _url(cls, value: SecretStr, info: Any) -> SecretStr:
        schemes = _SCHEMES[info.field_name]
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in schemes:
            raise ValueError(f"must be a URL that begins {' or '.join(s + '://' for s in schemes)}")
        _check_port(parts)
        if info.field_name == "rabbitmq_url" and "no_verify_ssl" in parts.query:
            raise ValueError("must not turn certificate verification off")
        return value

    @model_validator(mode="before")
    @classmethod
    def _postgres_parts(cls, values: Any) -> Any:
        parts = {key: values[key] for key in _POSTGRES_PARTS if values.get(key)}
        if not parts or values.get("DATABASE_URL"):
            return values
        user = quote(parts.get("POSTGRES_USER", "lark"), safe="")
        password = quote(parts.get("POSTGRES_PASSWORD", ""), safe="")
        host = parts.get("POSTGRES_HOST", "127.0.0.1")
        port = parts.get("POSTGRES_PORT", "5432")
        name = quote(parts.get("POSTGRES_DB", "lark_service"), safe="")
        account = f"{user}:{password}" if password else user
        return {**values, "DATABASE_URL": f"postgresql://{account}@{host}:{port}/{name}"}

    def secrets(self) -> list[str]:
        """Every secret by itself: the app's, each master key, the passwords in URLs."""
        keys = self.secret_key.get_secret_value() if self.secret_key else ""
        found = [self.app_secret.get_secret_value(), *(key.strip() for key in keys.split(","))]
        for url in (self.rabbitmq_url, self.redis_url, self.database_url):
            password = urlsplit(url.get_secret_value()).password or ""
            found += [password, unquote(password)]
        return [secret for secret in found if secret]

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Every environment variable with its description, in the order of the fields."""
        return {str(field.alias): field.description or "" for field in cls.model_fields.values()}


def checked_domain(value: str) -> str:
    """The domain without a slash at its end; raises ValueError saying what it must be."""
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be an http(s) URL such as https://open.feishu.cn")
    _check_port(parts)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("must be a scheme and a host, without path, query or user")
    if parts.scheme == "http" and not _is_local(parts.hostname):
        raise ValueError("must be https, except for the loopback address or a service name")
    return value.rstrip("/")


def _check_port(parts: SplitResult) -> None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        # Its own words would tell what stands there: part of a password, if an @ is missing.
        raise ValueError("must have a port from 1 to 65535, or none")


def _is_local(host: str) -> bool:
    # A name without a dot is a service of the same compose file or cluster: the sandbox.
    return host in ("127.0.0.1", "::1") or ("." not in host and ":" not in host)


_POSTGRES_PARTS = (
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
)
_NO_APP = {"LARK_APP_ID": "none", "LARK_APP_SECRET": "none"}
_SCHEMES = {
    "rabbitmq_url": ("amqp", "amqps"),
    "redis_url": ("redis", "rediss"),
    "database_url": ("postgresql", "postgres"),
}


def load_settings(
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    *,
    only: Collection[str] | None = None,
) -> Settings:
    """Read environment, `.env.local` and `.env`; raise ConfigError naming every mistake.

    With *only*, all other variables count as not given and the app as one without a name, for
    commands that need no app: a producer has no secret.
    """
    environment = os.environ if environment is None else environment
    values = read_variables(environment, folder or Path.cwd())
    if only is not None:
        wanted = {form for name in only for form in forms_of(name)}
        values = {name: value for name, value in values.items() if name in wanted}
    mistakes = read_secrets(values, environment)
    if only is not None:
        values = _NO_APP | values
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        unreadable = {mistake.split(" ")[0].removesuffix("_FILE:") for mistake in mistakes}
        mistakes += [
            _mistake(entry) for entry in error.errors() if str(entry["loc"][0]) not in unreadable
        ]
    if mistakes or settings is None:
        raise ConfigError("\n".join(mistakes))
    return settings


def _mistake(entry: Any) -> str:
    name = str(entry["loc"][0])
    if entry["type"] == "missing":
        return f"Required environment variable {name} is not set"
    # The value itself is left out: it may be a secret.
    return f"{name}: {entry['msg'].removeprefix('Value error, ')}"
