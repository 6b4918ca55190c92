"""What the commands that only publish need to know."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiormq.exceptions import AMQPConnectionError

from cli.broker import place_of, reason_of
from gateway.errors import ConfigError
from gateway.settings import load_settings

NOWHERE = Path("/nonexistent")
BROKER = {"RABBITMQ_URL"}


def test_a_producer_needs_no_app() -> None:
    settings = load_settings({"RABBITMQ_URL": "amqp://mq/"}, NOWHERE, only=BROKER)

    assert settings.rabbitmq_url.get_secret_value() == "amqp://mq/"


def test_mistakes_in_other_settings_are_not_its_business() -> None:
    environment = {"RABBITMQ_URL": "amqp://mq/", "API_TIMEOUT": "soon", "LARK_DOMAIN": "ftp://x"}

    load_settings(environment, NOWHERE, only=BROKER)
    with pytest.raises(ConfigError, match="LARK_DOMAIN"):
        load_settings(environment, NOWHERE, only={"LARK_DOMAIN"})


def test_a_file_that_holds_the_url_counts_too() -> None:
    with pytest.raises(ConfigError, match="RABBITMQ_URL_FILE: cannot read /nonexistent/url"):
        load_settings({"RABBITMQ_URL_FILE": "/nonexistent/url"}, NOWHERE, only=BROKER)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("amqp://u:secret@mq:5673/v", "mq:5673"),
        ("amqp://mq", "mq:5672"),
        ("amqps://u:secret@mq/", "mq:5671"),
    ],
)
def test_a_broker_is_named_without_its_login(url: str, place: str) -> None:
    assert place_of(url) == place


def test_a_reason_is_the_systems_and_never_a_url() -> None:
    refused = AMQPConnectionError(111, "amqp://u:secret@mq/")
    refused.__cause__ = ConnectionRefusedError(111, "amqp://u:secret@mq/")

    assert reason_of(refused) == "Connection refused"
