"""What the stores hold: tokens sealed for their place, and failures in plain words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from gateway.crypto import KeyRing, Undecryptable, context
from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from schemas.reply import ErrorType

from .token import Credential, Token

_LONGEST_LIFE = 86_400.0
_FAILURES: dict[str, type[GatewayError]] = {
    "refused": Refused,
    "not_now": NotNow,
    "attempt_failed": AttemptFailed,
}

Clock = Callable[[], float]

log = structlog.get_logger(__name__)


class Sealer:
    """Seals tokens for one store; a copy in another store or under another credential is void."""

    def __init__(self, store: str, keys: KeyRing, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._store = store
        self._keys = keys

    def seal(self, token: Token) -> bytes:
        """Encrypt the token for its credential's place in this store."""
        return self._keys.seal(token.value.encode(), self._context(token.credential))

    def open(
        self, credential: Credential, sealed: Any, issued_at: float, expires_at: float
    ) -> Token | None:
        """Make a token of what a store holds.

        What cannot be read is no token, so that damage costs one request to Feishu and no more.
        """
        now = self.clock()
        in_time = issued_at <= now + 1 and now < expires_at <= now + _LONGEST_LIFE
        if not isinstance(sealed, bytes) or not in_time:
            return None
        try:
            value = self._keys.open(sealed, self._context(credential)).decode()
        except (Undecryptable, UnicodeDecodeError) as error:
            log.warning(
                "stored token unreadable",
                app=credential.app.alias,
                store=self._store,
                reason=str(error) if isinstance(error, Undecryptable) else "not UTF-8",
            )
            return None
        return Token(value, credential, issued_at, expires_at)

    def _context(self, credential: Credential) -> bytes:
        return context(self._store, "tokens", credential.key, "sealed")


def write_failure(error: GatewayError) -> bytes:
    """Put a failure into words that another process can read."""
    kind = "attempt_failed"
    for name, cls in _FAILURES.items():
        if isinstance(error, cls):
            kind = name
    fields = {name: getattr(error, name) for name in ("type", "message", "code", "log_id", "hint")}
    return orjson.dumps({"kind": kind, **fields})


def read_failure(content: bytes, seconds: float) -> GatewayError | None:
    """Read what `write_failure` wrote, good for *seconds* more; None where it is something else."""
    try:
        entry = orjson.loads(content)
        return _FAILURES[entry["kind"]](
            ErrorType(entry["type"]),
            str(entry["message"]),
            retry_after=None if entry["kind"] == "refused" else seconds,
            code=entry["code"],
            log_id=entry["log_id"],
            hint=entry["hint"],
        )
    except (ValueError, KeyError, TypeError):
        return None
