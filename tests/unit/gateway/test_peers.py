"""Addresses of servers: what is always refused, what production refuses, and CA files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.peers import is_loopback, trusts_anybody, weaknesses, with_ca
from gateway.settings import load_settings
from tests.support.tls import Authority

CA = Path("/etc/our ca&1.pem")


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("rabbitmq_url", "amqps://u:p@h/?no_verify_ssl=1"),
        ("rabbitmq_url", "amqps://u:p@h/?no_verify_ssl="),
        ("rabbitmq_url", "amqps://u:p@h/?heartbeat=5&no%5Fverify_ssl=1"),
        ("redis_url", "rediss://:p@h/0?ssl_cert_reqs=none"),
        ("redis_url", "rediss://:p@h/0?ssl_cert_reqs=optional"),
        ("redis_url", "rediss://:p@h/0?ssl_check_hostname=False"),
        ("redis_url", "rediss://:p@h/0?ssl_check_hostname=0"),
        ("redis_url", "rediss://:p@h/0?ssl_exclude_verify_flags=VERIFY_X509_STRICT"),
    ],
)
def test_options_that_trust_anybody_are_found(field: str, url: str) -> None:
    assert trusts_anybody(field, url)


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("rabbitmq_url", "amqps://u:no_verify_ssl=1@h/?cafile=no_verify_ssl"),
        ("redis_url", "rediss://:p@h/0?ssl_cert_reqs=required&ssl_check_hostname=true"),
        ("database_url", "postgresql://u@h/d?sslmode=verify-full"),
    ],
)
def test_other_options_are_not(field: str, url: str) -> None:
    assert not trusts_anybody(field, url)


@pytest.mark.parametrize(
    ("field", "url", "words"),
    [
        ("rabbitmq_url", "amqp://u:p@broker/", ["must begin amqps://"]),
        ("rabbitmq_url", "amqps://guest:guest@broker/", ["must name a user of its own, not guest"]),
        ("rabbitmq_url", "amqps://broker/", ["must name a user of its own, not guest"]),
        ("rabbitmq_url", "amqps://u:local-only@broker/", ["its password is an example's"]),
        ("rabbitmq_url", "amqp://guest@broker/", ["must begin amqps://", "not guest"]),
        ("redis_url", "redis://:p@cache", ["must begin rediss://"]),
        ("redis_url", "rediss://cache", ["must have a password"]),
        ("redis_url", "redis://?host=cache", ["must begin rediss://", "must have a password"]),
        ("database_url", "postgresql://u:p@db/d", ["sslmode=verify-full"]),
        ("database_url", "postgresql://u:p@db/d?sslmode=require", ["sslmode=verify-full"]),
        ("database_url", "postgresql://u:p@db/d?sslmode=verify-ca", ["sslmode=verify-full"]),
        ("database_url", "postgresql://u:p@127.0.0.1,db/d", ["sslmode=verify-full"]),
        ("database_url", "postgresql:///d?host=db", ["sslmode=verify-full"]),
    ],
)
def test_production_refuses(field: str, url: str, words: list[str]) -> None:
    told = list(weaknesses(field, url))
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True)), told


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("rabbitmq_url", "amqp://guest:guest@127.0.0.1:5672/"),
        ("rabbitmq_url", "amqps://u:p@broker/"),
        ("rabbitmq_url", "amqps://broker/?auth=EXTERNAL&certfile=c&keyfile=k"),
        ("redis_url", "redis://127.0.0.1:6379/0"),
        ("redis_url", "redis://[::1]:6379/0"),
        ("redis_url", "rediss://u:p@cache/0"),
        ("database_url", "postgresql://lark@localhost/d"),
        ("database_url", "postgresql:///d?host=/run/postgresql"),
        ("database_url", "postgresql://u:p@db/d?sslmode=verify-full&sslrootcert=x"),
    ],
)
def test_production_takes(field: str, url: str) -> None:
    assert list(weaknesses(field, url)) == []


@pytest.mark.parametrize(
    ("field", "url", "becomes"),
    [
        ("rabbitmq_url", "amqps://u:p@h/v", "amqps://u:p@h/v?cafile=/etc/our%20ca%261.pem"),
        ("redis_url", "rediss://h/0?a=b", "rediss://h/0?a=b&ssl_ca_certs=/etc/our%20ca%261.pem"),
        (
            "database_url",
            "postgresql://h/d",
            "postgresql://h/d?sslmode=verify-full&sslrootcert=/etc/our%20ca%261.pem",
        ),
        (
            "database_url",
            "postgresql://h/d?sslmode=verify-full&sslrootcert=x",
            "postgresql://h/d?sslmode=verify-full&sslrootcert=x",
        ),
    ],
)
def test_a_ca_file_becomes_an_option_of_the_address(field: str, url: str, becomes: str) -> None:
    assert with_ca(field, url, CA) == becomes


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("rabbitmq_url", "amqp://h"),
        ("redis_url", "redis://h"),
        ("database_url", "postgresql://h/d?sslmode=disable"),
    ],
)
def test_a_ca_file_without_tls_is_a_mistake(field: str, url: str) -> None:
    with pytest.raises(ValueError, match="where a CA file is set"):
        with_ca(field, url, CA)


def test_this_machine_has_three_names() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("10.0.0.1", "0.0.0.0", "redis", "localhost.evil.com")))


def test_nothing_listens_beyond_this_machine_unless_it_is_told_to(tmp_path: Path) -> None:
    app = {"LARK_APP_ID": "cli_1", "LARK_APP_SECRET": "s3cret"}
    assert load_settings(app, tmp_path).health_host == "127.0.0.1"


def test_production_names_everything_that_is_doubtful_at_once(tmp_path: Path) -> None:
    environment = {
        "LARK_APP_ID": "cli_1",
        "LARK_APP_SECRET": "s3cret",
        "LARK_SERVICE_ENV": "production",
        "LARK_DOMAIN": "http://127.0.0.1:1",
        "RABBITMQ_URL": "amqp://guest:guest@broker",
        "REDIS_URL": "redis://cache",
        "POSTGRES_HOST": "db",
        "LARK_SERVICE_RABBITMQ_CA_FILE": str(tmp_path / "none.pem"),
        "API_TIMEOUT": "soon",
    }
    with pytest.raises(ConfigError) as error:
        load_settings(environment, tmp_path)
    told = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in told] == [
        "LARK_SERVICE_RABBITMQ_CA_FILE",
        "LARK_DOMAIN",
        "RABBITMQ_URL",
        "REDIS_URL",
        "DATABASE_URL",
        "LARK_SERVICE_SECRET_KEY",
        "API_TIMEOUT",
    ]
    assert "guest@" not in str(error.value)


def test_production_takes_servers_of_this_machine_and_a_random_key(tmp_path: Path) -> None:
    environment = {
        "LARK_APP_ID": "cli_1",
        "LARK_APP_SECRET": "s3cret",
        "LARK_SERVICE_ENV": "production",
        "LARK_SERVICE_SECRET_KEY": bytes(range(32)).hex(),
    }
    assert load_settings(environment, tmp_path).production
    weak = environment | {"LARK_SERVICE_SECRET_KEY": "5e" * 32}
    with pytest.raises(ConfigError, match="LARK_SERVICE_SECRET_KEY: holds a key that is no random"):
        load_settings(weak, tmp_path)


def test_a_ca_file_goes_along_with_the_address_that_a_command_asks_for(tmp_path: Path) -> None:
    file = Authority(tmp_path, "ours").file
    environment = {
        "RABBITMQ_URL": "amqps://u:p@broker/",
        "LARK_SERVICE_RABBITMQ_CA_FILE": str(file),
        "LARK_SERVICE_REDIS_CA_FILE": str(file),
    }
    settings = load_settings(environment, tmp_path, only={"RABBITMQ_URL"})
    assert settings.rabbitmq_url.get_secret_value() == f"amqps://u:p@broker/?cafile={file}"
