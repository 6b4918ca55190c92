"""What comes of asking for a turn: a permit, or a reason to wait elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import GatewayError, Refused
from gateway.limits.buckets import Bucket
from schemas.reply import ErrorType


@dataclass(frozen=True, slots=True)
class Turn:
    """A permit for one try. `waited` is the seconds it took, `permit_at` the time.monotonic() from
    which it holds; `holder` names the places it takes in buckets with `at_once`, or is empty."""

    waited: float
    holder: str
    permit_at: float


class Overflow(Exception):
    """The call is the excess of a saturated bucket: move it once to that bucket's overflow queue.

    `not_before` is the Unix time at which its turn may come, for when it cannot be moved.
    """

    def __init__(self, bucket: Bucket, not_before: float) -> None:
        super().__init__(bucket.key, not_before)
        self.bucket = bucket
        self.not_before = not_before


class Park(Exception):
    """The call's turn is not now: keep it out of the process until *not_before*, Unix time."""

    def __init__(self, not_before: float) -> None:
        super().__init__(not_before)
        self.not_before = not_before


class Closing(Exception):
    """The process drains: the call was not started and goes back."""


def circuit_open(seconds: float) -> GatewayError:
    """Say that nothing is tried again before the deadline, and after how many seconds it may be."""
    return Refused(
        ErrorType.CIRCUIT_OPEN,
        "Feishu keeps failing for this API; it was not asked",
        retry_after=seconds,
        hint="publish again after retry_after_ms, or with a later deadline",
    )


def no_slot(seconds: float) -> GatewayError:
    """Say that no slot can come before the deadline, and after how many seconds one may."""
    return Refused(
        ErrorType.RATE_LIMITED,
        "no slot before the deadline",
        retry_after=seconds,
        hint="the API's limit is used up; publish again after retry_after_ms",
    )
