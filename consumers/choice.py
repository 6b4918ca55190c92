"""Which member of a pool is asked, and what is said when none could do it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import GatewayError, NotNow
from gateway.executor import Ended
from gateway.limits.buckets import Bucket
from schemas.reply import ErrorType, Outcome

OF_APP = frozenset({ErrorType.CREDENTIALS_INVALID, ErrorType.APP_UNAVAILABLE, ErrorType.IP_DENIED})
"""What is wrong with the app, whatever it is asked for."""
OF_API = frozenset({ErrorType.PERMISSION_DENIED, ErrorType.QUOTA_EXHAUSTED})
"""What is wrong with the app for one API: each app has scopes and quotas of its own."""
_OF_MOMENT = frozenset({ErrorType.RATE_LIMITED, ErrorType.STORE_UNAVAILABLE, ErrorType.UNROUTED})
_MANY = 1000.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands for one call, as far as this process knows."""

    alias: str
    line: float
    """Seconds that its limit needs for the calls ahead."""
    paused: bool = False
    failing: bool = False
    turn: int = 0
    """How many choices had been made when it was chosen last."""


def choose(members: Iterable[Standing]) -> Standing:
    """The member with the most headroom; of equal ones that which was chosen longest ago.

    One that fails is asked when all do, and one that is paused before it: either may be well again.
    """
    return min(
        members, key=lambda member: (member.failing, member.paused, member.line, member.turn)
    )


def line_of(bucket: Bucket, calls: int) -> float:
    """Seconds that the bucket needs for so many calls."""
    rate = min((window.limit / window.seconds for window in bucket.windows), default=_MANY)
    return calls / rate


def is_for_another(error: GatewayError | None) -> bool:
    """Whether another app may do what this one surely has not done."""
    if error is None or error.outcome is not Outcome.NOT_EXECUTED:
        return False
    return error.type in OF_APP | OF_API | _OF_MOMENT


def last_word(refusals: Iterable[Ended]) -> Ended:
    """What is answered once every member was asked: the soonest that can be, else the last no."""
    refusals = list(refusals)
    waiting = [ended for ended in refusals if isinstance(ended.error, NotNow)]
    return min(waiting, key=_delay) if waiting else refusals[-1]


def _delay(ended: Ended) -> float:
    return (ended.error.retry_after if ended.error else None) or 0.0
