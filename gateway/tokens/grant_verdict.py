"""What a grant is good for, and what a failed refresh means for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from schemas.reply import ErrorType

from .grant_rows import Grant
from .oauth import MaybeSpent
from .sources import Issued
from .token import MARGIN, Token

GONE = frozenset({20008, 20024, 20026, 20037, 20064, 20073})
"""Codes after which no later refresh can succeed: the user is gone, or the refresh token is of
another app, invalid, expired, revoked or used. Others pass, by what an operator does."""
REFUSED_SECONDS = 10.0
"""How long nobody asks again after any other refusal, such as a wrong app secret."""
LONGEST_SECONDS = 15.0
_FRESH_SECONDS = 60.0
_AGAIN = "the user must authorize the app again"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is kept of a failed refresh; `seconds` is for how long nobody is to try again."""

    error: GatewayError
    gone: bool
    """Only a new grant helps."""
    spent: bool
    """The refresh token may be spent."""
    seconds: float


def usable(grant: Grant, than: Token | None) -> Issued | None:
    """The grant's access token where it lives and is another one *than* that.

    One that a refresh brought a moment ago is given again: a rejection so soon speaks of the call,
    which may want another kind of token, and must not spend a refresh token each time.
    """
    if grant.access_token is None:
        return None
    life = grant.access_seconds if grant.life is None else grant.life
    if grant.access_seconds <= min(MARGIN, life / 10):
        return None
    fresh = grant.age is not None and grant.age < min(_FRESH_SECONDS, life / 10)
    if than is not None and than.value == grant.access_token and not fresh:
        return None
    return Issued(grant.access_token, grant.access_seconds)


def no_grant() -> Refused:
    """Nothing is stored for the user."""
    return Refused(
        ErrorType.REAUTH_REQUIRED,
        "as: no grant of this user is stored",
        hint="the user must authorize the app first",
    )


def refusal_of(grant: Grant) -> GatewayError | None:
    """Why the grant is not to be refreshed now."""
    if grant.state == "reauth_required":
        return grant.failure or Refused(ErrorType.REAUTH_REQUIRED, _AGAIN)
    if grant.resting <= 0:
        return None
    failure = grant.failure
    if isinstance(failure, Refused):
        return failure
    # Nobody is asked now, so it costs the call no attempt: it waits until somebody is.
    return NotNow(
        failure.type if failure else ErrorType.STORE_UNAVAILABLE,
        failure.message if failure else "the last refresh of the user's grant failed",
        retry_after=grant.resting,
        code=failure.code if failure else None,
        log_id=failure.log_id if failure else None,
    )


def verdict_of(grant: Grant, error: GatewayError, draw: float) -> Verdict:
    """Judge a refresh that failed; *draw* in [0, 1) spreads the next ones."""
    spent = grant.doubtful or isinstance(error, MaybeSpent)
    if error.code in GONE:
        lost = ", and the answer to an earlier refresh was lost" if grant.doubtful else ""
        gone = Refused(
            ErrorType.REAUTH_REQUIRED,
            f"the grant of this user is gone: {error.message}{lost}",
            code=error.code,
            log_id=error.log_id,
            hint=_AGAIN,
        )
        return Verdict(gone, gone=True, spent=spent, seconds=0.0)
    seconds = min(LONGEST_SECONDS, 2.0 ** min(grant.failures, 10))
    if isinstance(error, Refused):
        seconds = REFUSED_SECONDS
    seconds = max(error.retry_after or 0.0, seconds * (0.5 + draw / 2))
    if isinstance(error, MaybeSpent):
        # For whoever reads it in the row it is a failure like any other.
        error = AttemptFailed(error.type, error.message, log_id=error.log_id, hint=error.hint)
    return Verdict(error, gone=False, spent=spent, seconds=seconds)
