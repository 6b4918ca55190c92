"""Looks in settings for what no model refuses: examples left as they were, weak secrets, slips.

Pure. No message holds a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from urllib.parse import SplitResult, unquote, urlsplit

from gateway.environment import KEY, KEY_COMMAND, SECRETS, forms_of
from gateway.settings import Settings

COMPOSE = frozenset({"LARK_SERVICE_IMAGE", "LARK_SERVICE_DEMO_IMAGE", "LARK_SERVICE_PORT"})
"""Variables of docker-compose.yml alone."""
_OURS = ("LARK_SERVICE_", "LARK_APP_")
_NAME = re.compile(r"[A-Z][A-Z_]+")
_APP_ID = re.compile(r"cli_[0-9A-Za-z]{16}")
_WORDS = re.compile(r"[a-z]+|[0-9]+")
_EXAMPLE = frozenset(
    {"change", "changeme", "dummy", "example", "placeholder", "replace", "sample", "todo", "your"}
)
_EXAMPLES = frozenset({"local-only", "none", "password", "s3cret", "secret", "test", "..."})
_LEAST_SECRET = 16
_LEAST_PASSWORD = 8
_LEAST_VARIETY = 8
_URLS = ("RABBITMQ_URL", "REDIS_URL", "DATABASE_URL")
_GENERATE = "make one with: openssl rand -hex 32"


class Kind(StrEnum):
    """What is the matter; all but advice is to be mended before a start."""

    MISSING = "missing"
    INVALID = "invalid"
    PLACEHOLDER = "placeholder"
    WEAK = "weak"
    UNKNOWN = "unknown"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at, by the variable's name."""

    name: str
    kind: Kind
    message: str

    @property
    def is_mistake(self) -> bool:
        """Whether it must be mended."""
        return self.kind is not Kind.ADVICE


def findings_of(given: Mapping[str, str], mistakes: list[str]) -> list[Finding]:
    """What to say of what was given, empty values included, and of the model's mistakes.

    Of the findings other than the model's, the gravest of each variable.
    """
    found = [_of_mistake(mistake, given) for mistake in mistakes]
    values = {name: value for name, value in given.items() if value}
    told = {finding.name for finding in found}
    for finding in (*_examples(values), *_weak(values), *_unknown(values), *_advice(values)):
        if finding.name not in told:
            found.append(finding)
            told.add(finding.name)
    return found


def _of_mistake(mistake: str, given: Mapping[str, str]) -> Finding:
    match = _NAME.search(mistake)
    name = match.group() if match else ""
    if not mistake.startswith("Required"):
        return Finding(name, Kind.INVALID, mistake.removeprefix(f"{name}: "))
    if name in given:
        return Finding(name, Kind.PLACEHOLDER, f"{mistake}: its line is still empty")
    return Finding(name, Kind.MISSING, mistake)


def _examples(values: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("LARK_APP_ID", "LARK_APP_SECRET", KEY, "POSTGRES_PASSWORD"):
        if _is_example(values.get(name, "")):
            yield Finding(name, Kind.PLACEHOLDER, "is still an example's value")
    for name in _URLS:
        if _is_example(_password(_parts(values.get(name, "")))):
            yield Finding(name, Kind.PLACEHOLDER, "its password is still an example's value")


def _is_example(value: str) -> bool:
    value = value.lower()
    words = _WORDS.findall(value)
    return (
        value in _EXAMPLES
        or (value.startswith("<") and value.endswith(">"))
        or any(word in _EXAMPLE or re.fullmatch("x{3,}", word) for word in words)
    )


def _weak(values: Mapping[str, str]) -> Iterator[Finding]:
    secret = values.get("LARK_APP_SECRET", "")
    if secret and len(secret) < _LEAST_SECRET:
        message = "is shorter than any secret of Feishu's, which have 32 characters"
        yield Finding("LARK_APP_SECRET", Kind.WEAK, message)
    for place, key in enumerate(values.get(KEY, "").split(","), start=1):
        if key and len(set(key.strip().lower())) < _LEAST_VARIETY:
            message = f"key {place} is no random one; {_GENERATE}"
            yield Finding(KEY, Kind.WEAK, message)
    for name in _URLS:
        parts = _parts(values.get(name, ""))
        password = _password(parts)
        if not password or parts.hostname in ("127.0.0.1", "::1", "localhost"):
            continue
        if name == "RABBITMQ_URL" and parts.username == "guest":
            yield Finding(name, Kind.WEAK, "guest is for a broker on this machine: make a user")
        elif len(password) < _LEAST_PASSWORD:
            message = f"its password has fewer than {_LEAST_PASSWORD} characters"
            yield Finding(name, Kind.WEAK, message)


def _unknown(values: Mapping[str, str]) -> Iterator[Finding]:
    secrets = (form for secret in SECRETS for form in forms_of(secret))
    known = {*Settings.variables(), *secrets, *COMPOSE}
    for name in sorted(values):
        if name.startswith(_OURS) and name not in known:
            near = get_close_matches(name, known, n=1)
            message = "no setting has this name" + (f"; is it {near[0]}?" if near else "")
            yield Finding(name, Kind.UNKNOWN, message)


def _advice(values: Mapping[str, str]) -> Iterator[Finding]:
    app_id = values.get("LARK_APP_ID", "")
    if app_id and not _APP_ID.fullmatch(app_id):
        message = "does not look like an app id of Feishu's: cli_ and 16 letters or digits"
        yield Finding("LARK_APP_ID", Kind.ADVICE, message)
    if not values.get(KEY) and not values.get(KEY_COMMAND):
        message = f"is not set, so no further app and no user grant can be stored; {_GENERATE}"
        yield Finding(KEY, Kind.ADVICE, message)


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # The model names it.
        return urlsplit("")


def _password(parts: SplitResult) -> str:
    return unquote(parts.password or "")
