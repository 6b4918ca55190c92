"""What the operator may set. Built once, at the edge; all mistakes are reported at once."""

from __future__ import annotations

import os
import ssl
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .environment import SECRETS, forms_of, read_secrets, read_variables
from .errors import ConfigError
from .peers import checked_domain, checked_url

__all__ = ["SECRETS", "LogLevel", "Settings", "checked_domain", "load_settings"]

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Settings(BaseModel):
    """The effective settings of one process. Times are seconds."""

    # Defaults too, since production refuses some.
    model_config = ConfigDict(
        frozen=True, populate_by_name=True, str_strip_whitespace=True, validate_default=True
    )

    app_id: Annotated[str, Field(alias="LARK_APP_ID", min_length=1)] = Field(
        description="App id of the app with the alias `default`."
    )
    app_secret: Annotated[SecretStr, Field(alias="LARK_APP_SECRET", min_length=1)] = Field(
        description="Its secret."
    )
    environment: Annotated[
        Literal["development", "production"], Field(alias="LARK_SERVICE_ENV")
    ] = Field(
        default="development",
        description="production refuses settings that are safe on one machine alone, as "
        "docs/security.md lists them, and takes no call before the producers' grants are known.",
    )
    rabbitmq_ca_file: Annotated[Path | None, Field(alias="LARK_SERVICE_RABBITMQ_CA_FILE")] = Field(
        default=None,
        description="PEM file of the authorities that RabbitMQ's certificate is checked against, "
        "with amqps://. Unset: the system's.",
    )
    redis_ca_file: Annotated[Path | None, Field(alias="LARK_SERVICE_REDIS_CA_FILE")] = Field(
        default=None,
        description="The same for Redis, with rediss://, besides the system's.",
    )
    postgres_ca_file: Annotated[Path | None, Field(alias="LARK_SERVICE_POSTGRES_CA_FILE")] = Field(
        default=None,
        description="The same for Postgres; sets sslmode=verify-full.",
    )
    feishu_ca_file: Annotated[Path | None, Field(alias="LARK_SERVICE_FEISHU_CA_FILE")] = Field(
        default=None,
        description="The same for a private domain of Feishu, besides the system's.",
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
    outcomes: Annotated[Literal["redis", "postgres"], Field(alias="LARK_SERVICE_OUTCOMES")] = Field(
        default="redis",
        description="Where it is kept which calls were made and how they ended. postgres forgets "
        "nothing when Redis is emptied, for two or three writes a call; it must be the same in all "
        "processes.",
    )
    retry_percent: Annotated[float, Field(alias="LARK_SERVICE_RETRY_PERCENT", ge=1, le=100)] = (
        Field(
            default=10,
            description="Repeats of failed attempts, in percent of the calls that succeed at once; "
            "docs/retries.md says what becomes of the others.",
        )
    )
    breaker_calls: Annotated[int, Field(alias="LARK_SERVICE_BREAKER_CALLS", ge=5, le=1_000_000)] = (
        Field(
            default=20,
            description="Calls of 30 s of which half must fail before no more are sent for a "
            "while, in each process for each API, app and host.",
        )
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

    @field_validator("rabbitmq_ca_file", "redis_ca_file", "postgres_ca_file", "feishu_ca_file")
    @classmethod
    def _ca_file(cls, value: Path | None) -> Path | None:
        try:
            if value is not None:
                ssl.create_default_context(cafile=value)
        except OSError as error:
            raise ValueError(f"{value} holds no certificates in PEM: {error.strerror}") from None
        return value

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str, info: ValidationInfo) -> str:
        if _is_production(info) and not value.startswith("https://"):
            raise ValueError("must begin https:// in production")
        return checked_domain(value)

    @field_validator("rabbitmq_url", "redis_url", "database_url")
    @classmethod
    def _url(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        name, url = str(info.field_name), value.get_secret_value()
        ca_file = info.data.get(_CA_FILES[name])
        url = checked_url(name, url, ca_file, production=_is_production(info))
        return SecretStr(url)

    @field_validator("secret_key")
    @classmethod
    def _secret_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if _is_production(info):
            if value is None:
                raise ValueError(f"must be set in production; {_MAKE_KEY}")
            keys = value.get_secret_value().split(",")
            if any(len(set(key.strip().lower())) < _LEAST_VARIETY for key in keys):
                raise ValueError(f"holds a key that is no random one; {_MAKE_KEY}")
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

    @property
    def production(self) -> bool:
        """Whether this is no trial: what is doubtful is refused."""
        return self.environment == "production"

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


def _is_production(info: ValidationInfo) -> bool:
    return info.data.get("environment") == "production"


_POSTGRES_PARTS = (
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
)
_NO_APP = {"LARK_APP_ID": "none", "LARK_APP_SECRET": "none"}
_CA_FILES = {
    "rabbitmq_url": "rabbitmq_ca_file",
    "redis_url": "redis_ca_file",
    "database_url": "postgres_ca_file",
}
_CA_OF = {
    "LARK_DOMAIN": "LARK_SERVICE_FEISHU_CA_FILE",
    "RABBITMQ_URL": "LARK_SERVICE_RABBITMQ_CA_FILE",
    "REDIS_URL": "LARK_SERVICE_REDIS_CA_FILE",
    "DATABASE_URL": "LARK_SERVICE_POSTGRES_CA_FILE",
}
_MAKE_KEY = "make one with: openssl rand -hex 32"
_LEAST_VARIETY = 8


def load_settings(
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    *,
    only: Collection[str] | None = None,
) -> Settings:
    """Read environment, `.env.local` and `.env`; raise ConfigError naming every mistake.

    With *only*, and the CA files of what is asked for, all other variables count as not given and
    the app as one without a name, for commands that need no app: a producer has no secret.
    """
    environment = os.environ if environment is None else environment
    values = read_variables(environment, folder or Path.cwd())
    if only is not None:
        along = {_CA_OF[name] for name in only if name in _CA_OF}
        wanted = along | {form for name in only for form in forms_of(name)}
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
    if name in Settings.model_fields:
        # Of a default it is the field's own name.
        name = str(Settings.model_fields[name].alias)
    if entry["type"] == "missing":
        return f"Required environment variable {name} is not set"
    # The value itself is left out: it may be a secret.
    return f"{name}: {entry['msg'].removeprefix('Value error, ')}"
