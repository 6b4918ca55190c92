"""Where settings come from: the environment, `.env.local`, `.env`, and files that hold secrets."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

SECRETS = (
    "LARK_APP_SECRET",
    "LARK_SERVICE_SECRET_KEY",
    "RABBITMQ_URL",
    "REDIS_URL",
    "DATABASE_URL",
    "POSTGRES_PASSWORD",
)
"""Settings that may also be given as `NAME_FILE`, the path of a file that holds the value."""
KEY = "LARK_SERVICE_SECRET_KEY"
KEY_COMMAND = f"{KEY}_COMMAND"
COMMAND_SECONDS = 10.0


def read_variables(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables that are not empty: the environment's first, then `.env.local`'s, `.env`'s."""
    values: dict[str, str] = {}
    for source in (
        dotenv_values(folder / ".env"),
        dotenv_values(folder / ".env.local"),
        environment,
    ):
        given = {key: value for key, value in source.items() if value}
        for secret in SECRETS:
            # A nearer source that gives the one form overrides the other form of a farther one.
            forms = forms_of(secret)
            if any(form in given for form in forms):
                for form in forms:
                    values.pop(form, None)
        values.update(given)
    return values


def forms_of(secret: str) -> tuple[str, ...]:
    """The variables that may give this secret, of which one may be set."""
    return (secret, f"{secret}_FILE", *((KEY_COMMAND,) if secret == KEY else ()))


def read_secrets(
    values: dict[str, str],
    environment: Mapping[str, str],
    *,
    command_seconds: float = COMMAND_SECONDS,
) -> list[str]:
    """Put what files hold and what the command prints into *values*; a sentence a mistake."""
    mistakes = []
    for secret in SECRETS:
        given = [form for form in forms_of(secret) if form in values]
        if len(given) > 1:
            mistakes.append(f"{secret}: set either {' or '.join(given)}, not both")
        elif given == [f"{secret}_FILE"]:
            mistakes += _read_file(values, secret)
        elif given == [KEY_COMMAND]:
            mistakes += _run_command(values, environment, command_seconds)
    return mistakes


def _run_command(
    values: dict[str, str], environment: Mapping[str, str], seconds: float
) -> list[str]:
    """Have the command print the key ring. What it prints is never shown: it may hold the key."""
    try:
        words = shlex.split(values[KEY_COMMAND])
    except ValueError:
        return [f"{KEY_COMMAND}: has a quotation mark that is not closed"]
    if not words:
        return [f"{KEY_COMMAND}: names no command"]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            # It has to find its own credentials, and has no use for ours.
            env={name: value for name, value in environment.items() if name not in SECRETS},
        )
        printed = done.stdout.decode().strip()
    except subprocess.TimeoutExpired:
        return [f"{KEY_COMMAND}: {words[0]} did not end within {seconds:g} s"]
    except OSError as error:
        return [f"{KEY_COMMAND}: cannot run {words[0]}: {error.strerror}"]
    except UnicodeDecodeError:
        return [f"{KEY_COMMAND}: {words[0]} prints what is not UTF-8"]
    if done.returncode:
        return [
            f"{KEY_COMMAND}: {words[0]} ends with code {done.returncode}; run it by hand to see"
        ]
    if not printed:
        return [f"{KEY_COMMAND}: {words[0]} prints nothing"]
    values[KEY] = printed
    return []


def _read_file(values: dict[str, str], secret: str) -> list[str]:
    path = values[f"{secret}_FILE"]
    try:
        values[secret] = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        return [f"{secret}_FILE: cannot read {path}: {reason}"]
    return [] if values[secret] else [f"{secret}_FILE: {path} is empty"]
