"""Addresses of servers: what is always refused, what production refuses, and CA files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.peers import is_loopback, trusts_anybody, weaknesses, with_ca

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
