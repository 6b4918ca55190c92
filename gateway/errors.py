"""Every way a call can end without an answer, sorted by what must be done about it.

GatewayError
├── Refused         final: answer it; the same call will not do better now
├── NotNow          nothing was executed and no attempt was spent: the same call again, later
├── AttemptFailed   an attempt was spent: repeat it where the API's class allows
└── Expired         the deadline passed before Feishu was asked
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from schemas.reply import ErrorType, Outcome


class ConfigError(Exception):
    """The settings cannot be used; the message names every mistake, one a line."""


class Cause(StrEnum):
    """What made an attempt fail, as far as a repeat has to know."""

    UNREACHABLE = "unreachable"
    """No connection came about: no address, refused, too slow to connect, TLS."""
    UNSENT = "unsent"
    """The connection was gone before its first byte was written."""
    CUT = "cut"
    """The connection was lost after that, a kept one possibly before Feishu read anything."""
    TIMEOUT = "timeout"
    """No whole answer in time."""
    TRUNCATED = "truncated"
    """The answer began and did not end."""
    SERVER_ERROR = "server_error"
    """A 5xx, or one of the statuses that count like it."""
    INTERNAL_CODE = "internal_code"
    """A code by which Feishu says that the failure is its own."""


PROVEN_UNSENT = frozenset({Cause.UNREACHABLE, Cause.UNSENT})
"""After these Feishu surely has not executed anything."""


class GatewayError(Exception):
    """How one call failed: `type` and `outcome` for programs, the message for people."""

    def __init__(
        self,
        type_: ErrorType,
        message: str,
        *,
        outcome: Outcome = Outcome.NOT_EXECUTED,
        retry_after: float | None = None,
        code: int | None = None,
        log_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.type = type_
        self.message = message
        self.outcome = outcome
        self.retry_after = retry_after
        """Seconds until the same call may do better, where anyone knows."""
        self.code = code
        self.log_id = log_id
        self.hint = hint


class Refused(GatewayError):
    """A final no, ours or Feishu's."""


class NotNow(GatewayError):
    """Not executed and not counted as an attempt; `retry_after` seconds say when to ask again."""

    waits_in_line = False
    """Whether the call is held back in its line for so long; else whoever repeats it must wait."""


class AttemptFailed(GatewayError):
    """One attempt is gone; `outcome` says whether it may have reached Feishu.

    `cause` is None where not the call failed but something it needs, such as its token.
    """

    def __init__(
        self, type_: ErrorType, message: str, *, cause: Cause | None = None, **known: Any
    ) -> None:
        super().__init__(type_, message, **known)
        self.cause = cause
        self.affordable = True
        """Whether there was a repeat left for it when it was last looked at."""


class Expired(GatewayError):
    """The deadline passed before a request was started."""

    def __init__(self, message: str = "the deadline passed before the call could be made") -> None:
        super().__init__(ErrorType.DEADLINE_EXCEEDED, message)
