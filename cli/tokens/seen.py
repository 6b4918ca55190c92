"""One credential's token as the stores hold it now; shown without the token. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.tokens.stores import Found
from gateway.tokens.token import Credential, Token

FINGERPRINT_DIGITS: Final = 12
"""As many as the log shows of a token."""
EARLIEST: Final = 1.0
LATEST: Final = 0.0
"""Draws of the processes that renew a token first and last."""
KINDS: Final = {
    "tenant": "tenant_access_token",
    "app": "app_access_token",
    "user": "user_access_token",
}


class State(StrEnum):
    """What a call would find."""

    VALID = "valid"
    RENEWAL_DUE = "renewal_due"
    """Still good; the processes that use it renew it, one of them for all."""
    ENDING = "ending"
    """Alive, and no longer attached to calls."""
    FAILING = "failing"
    """There is none, and the last request for one failed a moment ago."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Clocks:
    """Now, on the clock of tokens and as Unix time."""

    monotonic: float
    unix: float

    def instant(self, monotonic: float) -> datetime:
        """The time of day of an instant of tokens."""
        return datetime.fromtimestamp(self.unix + monotonic - self.monotonic, UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest token of the credential, and where it is."""

    credential: Credential
    token: Token | None
    found_in: tuple[str, ...]
    failure: GatewayError | None
    away: Mapping[str, str]
    """Why a store could not be asked, by its name."""
    clocks: Clocks

    @classmethod
    def of(
        cls,
        credential: Credential,
        found: Mapping[str, Found],
        away: Mapping[str, str],
        clocks: Clocks,
    ) -> Seen:
        """Take the newest of what the stores gave, by name."""
        tokens = {name: one.token for name, one in found.items() if one.token is not None}
        newest = max(tokens.values(), key=lambda token: token.issued_at, default=None)
        places = tuple(name for name, token in tokens.items() if token == newest)
        failures = [one.failure for one in found.values() if one.failure is not None]
        return cls(credential, newest, places, failures[0] if failures else None, away, clocks)

    @property
    def state(self) -> State:
        """What a call would find, as of the clocks."""
        now = self.clocks.monotonic
        if self.token is None or now >= self.token.expires_at:
            return State.FAILING if self.failure else State.MISSING
        if now >= self.token.usable_until:
            return State.ENDING
        return State.RENEWAL_DUE if now >= self.token.renew_at(EARLIEST) else State.VALID

    @property
    def is_usable(self) -> bool:
        """Whether a call can be made with it."""
        return self.state in (State.VALID, State.RENEWAL_DUE)

    @property
    def remaining(self) -> float:
        """Seconds until its end; 0 where there is none."""
        if self.token is None:
            return 0.0
        return max(0.0, self.token.expires_at - self.clocks.monotonic)

    @property
    def fingerprint(self) -> str | None:
        """Names the token, as the log does."""
        return self.token.fingerprint.hex()[:FINGERPRINT_DIGITS] if self.token else None

    def as_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can carry; never the token."""
        app, holder, token = self.credential.app, self.credential.holder, self.token
        return {
            "ok": self.is_usable,
            "app": app.alias,
            "app_id": app.app_id,
            "kind": KINDS[holder.kind],
            "holder": holder.name or None,
            "state": self.state,
            "expires_at": self._told(token.expires_at if token else None),
            "remaining_seconds": round(self.remaining),
            "renewal_from": self._told(token.renew_at(EARLIEST) if token else None),
            "renewal_until": self._told(token.renew_at(LATEST) if token else None),
            "found_in": list(self.found_in),
            "fingerprint": self.fingerprint,
            "failure": _failure(self.failure),
            "away": dict(self.away),
        }

    def _told(self, instant: float | None) -> str | None:
        if instant is None:
            return None
        return self.clocks.instant(instant).isoformat(timespec="seconds").replace("+00:00", "Z")


def _failure(error: GatewayError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    known = {"code": error.code, "log_id": error.log_id, "hint": error.hint}
    return {"type": error.type, "message": error.message, **known}
