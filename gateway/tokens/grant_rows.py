"""A user grant as its row holds it, and what may be shown of it. Pure but for the key ring."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.crypto import KeyRing, Undecryptable, context
from gateway.errors import GatewayError, NotNow
from schemas.reply import ErrorType

from .sealing import read_failure
from .token import Credential

TABLE: Final = "user_grants"
_UNREADABLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """One row as it was read; times are seconds from then on, negative when they are over."""

    access_token: str | None = field(repr=False)
    access_seconds: float
    refresh_token: str = field(repr=False)
    refresh_print: bytes
    refresh_seconds: float
    scope: str
    state: str
    failure: GatewayError | None
    failures: int
    fence: int
    leased: float
    """For how long another process has the lease."""
    resting: float
    """For how long nobody is to try again."""
    doubtful: bool
    """The refresh token was sent, and no answer to that was written."""
    life: float | None
    age: float | None
    """Since the last refresh; None where there was none."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What may be shown of a grant."""

    domain: str
    app_id: str
    user_key: str
    state: str
    scope: str
    granted_at: datetime
    refreshed_at: datetime | None
    access_expires_at: datetime | None
    refresh_expires_at: datetime
    doubtful: bool
    failure: GatewayError | None


def print_of(refresh_token: str) -> bytes:
    """Names a refresh token where the token itself must not be seen."""
    return hashlib.sha256(refresh_token.encode()).digest()


def seal(keys: KeyRing, credential: Credential, column: str, value: str) -> bytes:
    """Encrypt a token for its place in the grant's row."""
    return keys.seal(value.encode(), context("postgres", TABLE, credential.key, column))


def read_grant(keys: KeyRing, credential: Credential, row: Mapping[str, Any]) -> Grant:
    """Make a grant of its row; raises NotNow where no key of the ring opens it."""
    try:
        access = _open(keys, credential, "access_token", row["access_token"])
        refresh = _open(keys, credential, "refresh_token", row["refresh_token"])
    except (Undecryptable, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, Undecryptable) else "it is not UTF-8"
        raise NotNow(
            ErrorType.STORE_UNAVAILABLE,
            f"the stored grant cannot be read: {reason}",
            retry_after=_UNREADABLE_SECONDS,
        ) from None
    as_read = ("refresh_print", "refresh_seconds", "scope", "state", "failures", "fence")
    times = ("leased", "resting", "doubtful", "life", "age")
    return Grant(
        access_token=access,
        access_seconds=-1.0 if row["access_seconds"] is None else row["access_seconds"],
        refresh_token=refresh or "",
        failure=failure_of(row["failure"], row["resting"]),
        **{name: row[name] for name in (*as_read, *times)},
    )


def failure_of(text: str | None, seconds: float = 0.0) -> GatewayError | None:
    """The failure that a row holds, which stands for so many seconds more."""
    return None if text is None else read_failure(text.encode(), max(seconds, 0.0))


def _open(keys: KeyRing, credential: Credential, column: str, sealed: bytes | None) -> str | None:
    if sealed is None:
        return None
    return keys.open(sealed, context("postgres", TABLE, credential.key, column)).decode()
