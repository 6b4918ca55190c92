"""The key ring as a command prints it: a vault's, whose output nobody else may see."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.environment import KEY_COMMAND, read_secrets
from gateway.errors import ConfigError
from gateway.settings import Settings, load_settings

APP = {"LARK_APP_ID": "cli_1", "LARK_APP_SECRET": "s3cret"}


def load(folder: Path, **environment: str) -> Settings:
    return load_settings({**APP, **environment}, folder)


def mistakes(folder: Path, environment: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_settings(environment, folder)
    return str(error.value).splitlines()


def key_command(folder: Path, body: str) -> str:
    script = folder / "give key"
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(0o755)
    return f"'{script}' --field key"


def test_the_key_ring_may_be_what_a_command_prints(tmp_path: Path) -> None:
    command = key_command(tmp_path, f'[ "$1 $2" = "--field key" ] && echo {"ab" * 32}')
    settings = load(tmp_path, LARK_SERVICE_SECRET_KEY_COMMAND=command)
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "ab" * 32


def test_the_command_of_the_key_ring_is_not_given_our_secrets(tmp_path: Path) -> None:
    command = key_command(tmp_path, 'echo "$VAULT_TOKEN $LARK_APP_SECRET $REDIS_URL"')
    environment = {"VAULT_TOKEN": "its own", "REDIS_URL": "redis://:p@h"}
    settings = load(tmp_path, LARK_SERVICE_SECRET_KEY_COMMAND=command, **environment)
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "its own"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo hunter2; echo hunter2 >&2; exit 3", "ends with code 3"),
        ("true", "prints nothing"),
        ("printf 'hunter2\\377'", "not UTF-8"),
    ],
)
def test_a_command_that_gives_no_key_is_a_mistake_that_quotes_nothing_of_it(
    body: str, told: str, tmp_path: Path
) -> None:
    command = key_command(tmp_path, body)
    (mistake,) = mistakes(tmp_path, {**APP, "LARK_SERVICE_SECRET_KEY_COMMAND": command})
    assert mistake.startswith("LARK_SERVICE_SECRET_KEY_COMMAND: ")
    assert told in mistake
    assert "hunter2" not in mistake


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/nowhere/vault --token hunter2", "cannot run /nowhere/vault: No such file"),
        ("vault 'hunter2", "quotation mark"),
        (" ", "names no command"),
    ],
)
def test_a_command_that_cannot_run_is_a_mistake_that_tells_no_argument(
    command: str, told: str, tmp_path: Path
) -> None:
    (mistake,) = mistakes(tmp_path, {**APP, "LARK_SERVICE_SECRET_KEY_COMMAND": command})
    assert told in mistake
    assert "hunter2" not in mistake


def test_a_command_that_does_not_end_is_a_mistake(tmp_path: Path) -> None:
    values = {KEY_COMMAND: key_command(tmp_path, "echo hunter2; exec sleep 60")}
    (mistake,) = read_secrets(values, {}, command_seconds=0.2)
    assert "did not end within 0.2 s" in mistake
    assert "hunter2" not in mistake


def test_a_command_beside_a_key_is_a_mistake_and_a_nearer_form_overrides(tmp_path: Path) -> None:
    both = {"LARK_SERVICE_SECRET_KEY": "ab" * 32, "LARK_SERVICE_SECRET_KEY_COMMAND": "true"}
    (mistake,) = mistakes(tmp_path, {**APP, **both})
    assert mistake.startswith("LARK_SERVICE_SECRET_KEY: set either LARK_SERVICE_SECRET_KEY or ")
    (tmp_path / ".env").write_text(f"LARK_SERVICE_SECRET_KEY={'ab' * 32}\n", encoding="utf-8")
    command = key_command(tmp_path, f"echo {'cd' * 32}")
    settings = load(tmp_path, LARK_SERVICE_SECRET_KEY_COMMAND=command)
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == "cd" * 32


def test_a_command_that_needs_no_key_runs_no_command(tmp_path: Path) -> None:
    wrong = {**APP, "LARK_SERVICE_SECRET_KEY_COMMAND": "/nowhere/vault"}
    assert load_settings(wrong, tmp_path, only={"REDIS_URL"}).secret_key is None


def test_a_command_that_may_need_the_app_reads_its_secret_from_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret", encoding="utf-8")
    given = {"LARK_APP_SECRET_FILE": str(file)}
    settings = load_settings(given, tmp_path, only={"LARK_APP_SECRET"})
    assert settings.app_secret.get_secret_value() == "s3cret"
