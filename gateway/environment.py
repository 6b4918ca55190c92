"""Where settings come from: the environment, `.env.local`, `.env`, and files that hold secrets."""

from __future__ import annotations

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
            if secret in given and f"{secret}_FILE" not in given:
                values.pop(f"{secret}_FILE", None)
            elif f"{secret}_FILE" in given and secret not in given:
                values.pop(secret, None)
        values.update(given)
    return values


def read_files(values: dict[str, str]) -> list[str]:
    """Put what the files of secrets hold into *values*; return a sentence for every mistake."""
    mistakes = []
    for secret in SECRETS:
        path = values.get(f"{secret}_FILE")
        if path is None:
            continue
        if secret in values:
            mistakes.append(f"{secret}: set either {secret} or {secret}_FILE, not both")
            continue
        try:
            values[secret] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
            mistakes.append(f"{secret}_FILE: cannot read {path}: {reason}")
        else:
            if not values[secret]:
                mistakes.append(f"{secret}_FILE: {path} is empty")
    return mistakes
