"""What no model refuses in the settings is found, by name, and no value is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.audit import COMPOSE, Kind, findings_of

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef" * 4
GOOD = {
    "LARK_APP_ID": "cli_a1b2c3d4e5f60718",
    "LARK_APP_SECRET": "q8N3vK1zR7tY5wB2mC9xL4pD6sF0gH7j",
    "LARK_SERVICE_SECRET_KEY": KEY,
    "RABBITMQ_URL": "amqp://lark:Zk29dLq8@mq.internal/",
}


def found(**changes: str) -> list[tuple[str, Kind]]:
    return [(finding.name, finding.kind) for finding in findings_of(GOOD | changes, [])]


def test_good_settings_leave_nothing_to_say() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("LARK_APP_ID", "cli_xxx", Kind.PLACEHOLDER),
        ("LARK_APP_SECRET", "<app secret>", Kind.PLACEHOLDER),
        ("LARK_APP_SECRET", "your-app-secret-from-the-console", Kind.PLACEHOLDER),
        ("LARK_APP_SECRET", "k3J9dm", Kind.WEAK),
        ("LARK_SERVICE_SECRET_KEY", "0" * 64, Kind.WEAK),
        ("LARK_SERVICE_SECRET_KEY", f"{KEY},{'ab' * 32}", Kind.WEAK),
        ("LARK_SERVICE_SECRET_KEY", "", Kind.ADVICE),
        ("RABBITMQ_URL", "amqp://guest:guest@mq.internal/", Kind.WEAK),
        ("RABBITMQ_URL", "amqp://lark:local-only@mq.internal/", Kind.PLACEHOLDER),
        ("REDIS_URL", "redis://:short@redis.internal/0", Kind.WEAK),
        ("DATABASE_URL", "postgresql://lark:changeme@db.internal/lark", Kind.PLACEHOLDER),
        ("POSTGRES_PASSWORD", "password", Kind.PLACEHOLDER),
        ("LARK_SERVICE_PREFETSH", "7", Kind.UNKNOWN),
        ("LARK_APP_SECRETS", "7", Kind.UNKNOWN),
        ("LARK_APP_ID", "42", Kind.ADVICE),
    ],
)
def test_what_is_no_good_is_found_by_name(name: str, value: str, kind: Kind) -> None:
    assert found(**{name: value}) == [(name, kind)]


@pytest.mark.parametrize(
    "value",
    [
        "amqp://guest:guest@127.0.0.1:5672/",
        "amqp://localhost/",
        "amqp://mq.internal/",
        "amqp://[broken",
    ],
)
def test_a_broker_on_this_machine_and_one_without_a_password_are_no_finding(value: str) -> None:
    assert found(RABBITMQ_URL=value) == []


def test_a_slip_is_told_with_the_name_that_was_meant() -> None:
    (finding,) = findings_of(GOOD | {"LARK_SERVICE_PREFETSH": "7"}, [])

    assert finding.message == "no setting has this name; is it LARK_SERVICE_PREFETCH?"


def test_a_secret_in_a_file_or_from_a_command_is_no_slip() -> None:
    given = GOOD | {"LARK_SERVICE_SECRET_KEY": "", "LARK_SERVICE_SECRET_KEY_COMMAND": "vault read"}

    assert findings_of(given | {"LARK_APP_SECRET_FILE": "/run/secrets/app"}, []) == []


def test_the_mistakes_of_the_model_come_first_and_a_line_left_empty_is_an_example() -> None:
    findings = findings_of(
        {"LARK_APP_ID": "", "LARK_SERVICE_SECRET_KEY": KEY},
        [
            "Required environment variable LARK_APP_ID is not set",
            "Required environment variable LARK_APP_SECRET is not set",
            "API_TIMEOUT: Input should be greater than 0",
        ],
    )

    assert [(finding.name, finding.kind, finding.message) for finding in findings] == [
        (
            "LARK_APP_ID",
            Kind.PLACEHOLDER,
            "Required environment variable LARK_APP_ID is not set: its line is still empty",
        ),
        (
            "LARK_APP_SECRET",
            Kind.MISSING,
            "Required environment variable LARK_APP_SECRET is not set",
        ),
        ("API_TIMEOUT", Kind.INVALID, "Input should be greater than 0"),
    ]


def test_only_advice_may_stay() -> None:
    findings = findings_of(GOOD | {"LARK_SERVICE_SECRET_KEY": "", "LARK_SERVICE_X": "1"}, [])

    assert {finding.name: finding.is_mistake for finding in findings} == {
        "LARK_SERVICE_SECRET_KEY": False,
        "LARK_SERVICE_X": True,
    }


def test_the_variables_of_docker_compose_are_known() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"\$\{(LARK_SERVICE_[A-Z_]+)", text))

    assert named == COMPOSE
