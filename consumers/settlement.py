"""How a try ended → what becomes of its delivery. Pure; the only place that decides it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import AttemptFailed, Expired, GatewayError, NotNow, Refused
from gateway.jobs import Job, may_repeat
from gateway.retry import RetryPolicy
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType, Outcome

from .codec import Poison


@dataclass(frozen=True, slots=True)
class Finish:
    """Answer it with *error*, or with Feishu's success, and bury it where *dead* says why."""

    error: GatewayError | None
    reply: bool
    dead: DeadReason | None


@dataclass(frozen=True, slots=True)
class Again:
    """The same call once more, after *delay* seconds."""

    delay: float


Settlement = Finish | Again

_ALWAYS_DEAD = {
    ErrorType.INVALID_CALL: DeadReason.INVALID_CALL,
    ErrorType.FORBIDDEN: DeadReason.FORBIDDEN,
    ErrorType.UNROUTED: DeadReason.UNROUTED,
    ErrorType.OUTCOME_UNKNOWN: DeadReason.OUTCOME_UNKNOWN,
}
_NOT_ASKED = frozenset(
    {
        ErrorType.RATE_LIMITED,
        ErrorType.CIRCUIT_OPEN,
        ErrorType.DEADLINE_EXCEEDED,
        ErrorType.STORE_UNAVAILABLE,
        ErrorType.FEISHU_UNAVAILABLE,
        ErrorType.UNROUTED,
        ErrorType.APP_UNAVAILABLE,
    }
)
"""Errors that say of the last try alone that Feishu did nothing."""


def settle(
    error: GatewayError | None, job: Job, now: float, policy: RetryPolicy, *, has_reply_to: bool
) -> Settlement:
    """Decide from how the last try ended; *now* is Unix time."""
    if isinstance(error, NotNow):
        delay = error.retry_after or 0.0
        if now + delay < job.deadline:
            return Again(0.0 if error.waits_in_line else delay)
        error = Expired() if now >= job.deadline else _too_late(error, delay)
    elif isinstance(error, AttemptFailed) and may_repeat(job, error, policy):
        left = job.deadline - now - job.needs
        # Where nobody waits the pause is spent in the broker, and the budget is asked after it.
        delay = policy.unattended_delay(job.tries)
        if not has_reply_to and delay < left:
            return Again(delay)
        delay = policy.delay(job.tries)
        if error.affordable and delay < left:
            return Again(delay)
    final = None if error is None else _said_plainly(error, job)
    return finish(final, has_reply_to=has_reply_to)


def finish(error: GatewayError | None, *, has_reply_to: bool) -> Finish:
    """The end of a call, by the tables of the contract."""
    if error is None:
        return Finish(None, reply=has_reply_to, dead=None)
    dead = _ALWAYS_DEAD.get(error.type)
    if dead is None and not has_reply_to:
        dead = DeadReason.EXPIRED if isinstance(error, Expired) else DeadReason.FAILED
    return Finish(error, reply=has_reply_to, dead=dead)


def end_unopened(problem: Poison | GatewayError, *, has_reply_to: bool) -> Finish:
    """The end of a delivery that did not become a call."""
    if isinstance(problem, GatewayError):
        return finish(problem, has_reply_to=has_reply_to)
    defect = problem.type is ErrorType.INTERNAL
    outcome = Outcome.UNKNOWN if defect else Outcome.NOT_EXECUTED
    error = Refused(problem.type, problem.message, outcome=outcome)
    return Finish(error, reply=has_reply_to, dead=problem.reason)


def redelivered_unsafe(job: Job) -> GatewayError:
    """The end of a call that came back after a crash and may not be sent twice."""
    return Refused(
        ErrorType.OUTCOME_UNKNOWN,
        "the call was in flight when a gateway process or its connection was lost",
        outcome=Outcome.UNKNOWN,
        hint=f"find out with a read before {job.route.name} is sent again",
    )


def _too_late(error: NotNow, delay: float) -> GatewayError:
    limited = error.type is ErrorType.RATE_LIMITED
    is_known = limited or error.type is ErrorType.CIRCUIT_OPEN
    return Refused(
        error.type,
        "no slot before the deadline" if limited else error.message,
        outcome=error.outcome,
        retry_after=delay if is_known else None,
        code=error.code,
        log_id=error.log_id,
        hint=error.hint,
    )


def _said_plainly(error: GatewayError, job: Job) -> GatewayError:
    """Say of the whole call what the last error says of the last try."""
    if job.doubtful and error.type in _NOT_ASKED and error.outcome is Outcome.NOT_EXECUTED:
        error = Refused(
            ErrorType.FEISHU_UNAVAILABLE,
            f"an earlier attempt may have been executed, and then: {error.message}",
            outcome=Outcome.UNKNOWN,
            retry_after=error.retry_after,
            code=error.code,
            log_id=error.log_id,
            hint=error.hint,
        )
    if error.outcome is not Outcome.UNKNOWN or job.harmless:
        return error
    # An attempt that may have been executed and must not be repeated has one name.
    return Refused(
        ErrorType.OUTCOME_UNKNOWN,
        error.message,
        outcome=Outcome.UNKNOWN,
        code=error.code,
        log_id=error.log_id,
        hint=f"find out with a read before {job.route.name} is sent again",
    )
