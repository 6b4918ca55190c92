"""Settings: where they come from, and that all mistakes are told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from gateway.errors import ConfigError
from gateway.settings import SECRETS, Settings, load_settings

APP = {"LARK_APP_ID": "cli_1", "LARK_APP_SECRET": "s3cret"}


def load(folder: Path, **environment: str) -> Settings:
    return load_settings({**APP, **environment}, folder)


def mistakes(folder: Path, environment: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_settings(environment, folder)
    return str(error.value).splitlines()


def test_an_app_is_all_that_is_needed(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.app_id == "cli_1"
    assert settings.app_secret.get_secret_value() == "s3cret"
    assert settings.domain == "https://open.feishu.cn"
    assert settings.api_timeout == 30
    assert settings.health_port == 8080


def test_what_is_missing_is_named_as_the_contract_words_it(tmp_path: Path) -> None:
    assert mistakes(tmp_path, {}) == [
        "Required environment variable LARK_APP_ID is not set",
        "Required environment variable LARK_APP_SECRET is not set",
    ]


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert mistakes(tmp_path, {"LARK_APP_ID": "", "LARK_APP_SECRET": "x"}) == [
        "Required environment variable LARK_APP_ID is not set"
    ]


def test_all_mistakes_are_told_at_once_and_by_name(tmp_path: Path) -> None:
    wrong = {
        "LARK_APP_SECRET": "s3cret",
        "LARK_DOMAIN": "ftp://feishu",
        "RABBITMQ_URL": "http://broker",
        "REDIS_URL": "redis-server:6379",
        "DATABASE_URL": "mysql://db",
        "API_TIMEOUT": "soon",
        "LOG_LEVEL": "loud",
        "LARK_SERVICE_PREFETCH": "0",
        "LARK_SERVICE_HEALTH_PORT": "70000",
        "LARK_SERVICE_DRAIN_TIMEOUT": "26",
        "LARK_SERVICE_SECRET_KEY_FILE": str(tmp_path / "none"),
    }
    told = mistakes(tmp_path, wrong)
    assert [line.split(" ")[0].rstrip(":") for line in told if "Required" not in line] == [
        "LARK_SERVICE_SECRET_KEY_FILE",
        *(
            name
            for name in wrong
            if name not in ("LARK_APP_SECRET", "LARK_SERVICE_SECRET_KEY_FILE")
        ),
    ]
    assert "Required environment variable LARK_APP_ID is not set" in told


def test_no_mistake_tells_a_value(tmp_path: Path) -> None:
    secret = "http://user:hunter2@broker"
    told = mistakes(tmp_path, {**APP, "RABBITMQ_URL": secret, "DATABASE_URL": secret})
    assert len(told) == 2
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_in_a_file(name: str, tmp_path: Path) -> None:
    values = {
        "RABBITMQ_URL": "amqp://u:p@h:5672/v",
        "REDIS_URL": "redis://:p@h:6379/1",
        "DATABASE_URL": "postgresql://u:p@h/d",
    }
    value = values.get(name, "from the file")
    file = tmp_path / "secret"
    file.write_text(f" {value}\n", encoding="utf-8")
    environment = {key: item for key, item in APP.items() if key != name}
    settings = load_settings({**environment, f"{name}_FILE": str(file)}, tmp_path)
    shown = [
        getattr(settings, field).get_secret_value()
        for field in ("app_secret", "secret_key", "rabbitmq_url", "redis_url", "database_url")
        if getattr(settings, field) is not None
    ]
    assert value in shown or any(value.replace(" ", "%20") in text for text in shown)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_given_twice_is_a_mistake(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("amqp://x", encoding="utf-8")
    told = mistakes(tmp_path, {**APP, name: "postgresql://x", f"{name}_FILE": str(file)})
    assert f"{name}: set either {name} or {name}_FILE, not both" in told


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "cannot read"), (b"", "empty"), (b" \n", "empty"), (b"\xff", "UTF-8")],
)
def test_a_file_that_holds_no_secret_is_a_mistake(
    content: bytes | None, word: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    told = mistakes(tmp_path, {"LARK_APP_ID": "x", "LARK_APP_SECRET_FILE": str(file)})
    assert len(told) == 1
    assert told[0].startswith("LARK_APP_SECRET_FILE: ")
    assert word in told[0]


def test_the_nearer_source_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LARK_APP_ID=far\nAPI_TIMEOUT=1\nLOG_LEVEL=DEBUG\n")
    (tmp_path / ".env.local").write_text("LARK_APP_ID=near\nAPI_TIMEOUT=2\n")
    settings = load_settings({"LARK_APP_SECRET": "s", "LARK_APP_ID": "own"}, tmp_path)
    assert (settings.app_id, settings.api_timeout, settings.log_level) == ("own", 2, "DEBUG")


def test_a_nearer_source_may_give_the_other_form_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LARK_APP_SECRET=far\n")
    (tmp_path / "secret").write_text("near")
    environment = {"LARK_APP_ID": "x", "LARK_APP_SECRET_FILE": str(tmp_path / "secret")}
    assert load_settings(environment, tmp_path).app_secret.get_secret_value() == "near"
    (tmp_path / ".env").write_text("LARK_APP_SECRET_FILE=/nowhere\n")
    assert load_settings(APP, tmp_path).app_secret.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({"POSTGRES_HOST": "db"}, "postgresql://lark@db:5432/lark_service"),
        ({"POSTGRES_PORT": "5433"}, "postgresql://lark@127.0.0.1:5433/lark_service"),
        (
            {"POSTGRES_USER": "u@x", "POSTGRES_PASSWORD": "p:/@#", "POSTGRES_DB": "d/b"},
            "postgresql://u%40x:p%3A%2F%40%23@127.0.0.1:5432/d%2Fb",
        ),
        ({"POSTGRES_HOST": "db", "DATABASE_URL": "postgres://own/x"}, "postgres://own/x"),
    ],
)
def test_postgres_may_be_given_in_parts(parts: dict[str, str], url: str, tmp_path: Path) -> None:
    assert load(tmp_path, **parts).database_url.get_secret_value() == url


@pytest.mark.parametrize(
    "domain",
    [
        "https://open.feishu.cn/",
        "https://gateway.example:8443",
        "http://127.0.0.1:8911",
        "http://[::1]:8911",
        "http://sandbox:8911",
    ],
)
def test_a_domain_is_a_scheme_and_a_host(domain: str, tmp_path: Path) -> None:
    assert load(tmp_path, LARK_DOMAIN=domain).domain == domain.rstrip("/")


@pytest.mark.parametrize(
    "domain",
    [
        "open.feishu.cn",
        "http://open.feishu.cn",
        "http://[2001:db8::1]",
        "https://open.feishu.cn/open-apis",
        "https://open.feishu.cn?x=1",
        "https://open.feishu.cn#x",
        "https://user@open.feishu.cn",
        "https://",
        "https://[::1",
        "https://open.feishu.cn:port",
        "https://open.feishu.cn:99999",
    ],
)
def test_a_domain_that_would_leak_tokens_or_lead_nowhere_is_a_mistake(
    domain: str, tmp_path: Path
) -> None:
    (told,) = mistakes(tmp_path, {**APP, "LARK_DOMAIN": domain})
    assert told.startswith("LARK_DOMAIN: ")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("RABBITMQ_URL", "amqp://u:p@host:port/"),
        ("RABBITMQ_URL", "amqp://u:p@host:99999/"),
        ("RABBITMQ_URL", "amqps://host/?no_verify_ssl=1"),
        ("REDIS_URL", "redis://host:port/0"),
        ("DATABASE_URL", "postgresql://host:port/db"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_mistake(name: str, url: str, tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, {**APP, name: url})
    assert told.startswith(f"{name}: ")


def test_a_postgres_port_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, {**APP, "POSTGRES_PORT": "five"})
    assert "port" in told
    assert "five" not in told


@pytest.mark.parametrize("name", ["API_TIMEOUT", "LARK_SERVICE_DRAIN_TIMEOUT"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_a_time_is_a_positive_number(name: str, value: str, tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, {**APP, name: value})
    assert told.startswith(f"{name}: ")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, RABBITMQ_URL="amqp://u:hunter2@h/", LARK_SERVICE_SECRET_KEY="k" * 64)
    assert "hunter2" not in repr(settings)
    assert "s3cret" not in repr(settings)
    assert "k" * 64 not in repr(settings)


def test_a_command_may_ask_for_a_few_settings_alone(tmp_path: Path) -> None:
    given: dict[str, Any] = {"RABBITMQ_URL": "amqp://own/", "REDIS_URL": "wrong"}
    settings = load_settings(given, tmp_path, only={"RABBITMQ_URL"})
    assert settings.rabbitmq_url.get_secret_value() == "amqp://own/"


def test_every_setting_has_a_variable_and_a_description() -> None:
    assert all(name.isupper() and text for name, text in Settings.variables().items())
    assert set(SECRETS) - {"POSTGRES_PASSWORD"} <= set(Settings.variables())


def test_every_setting_that_is_secret_may_be_in_a_file() -> None:
    secret = {
        str(field.alias)
        for field in Settings.model_fields.values()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    }
    assert secret | {"POSTGRES_PASSWORD"} == set(SECRETS)
