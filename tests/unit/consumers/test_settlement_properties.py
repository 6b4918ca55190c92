"""However a try ends, the end of its call is one that the contract's tables allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.settlement import Again, Finish, settle
from gateway.errors import AttemptFailed, Expired, GatewayError, NotNow, Refused
from gateway.limits.buckets import Bucket
from gateway.retry import RetryPolicy
from gateway.verdict import BucketFull
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType, Outcome
from tests.support.builders import NOW, make_answer, make_job
from tests.support.examples import tried

POLICY = RetryPolicy(max_attempts=4)
TYPES, OUTCOMES = st.sampled_from(sorted(ErrorType)), st.sampled_from(sorted(Outcome))
WAITS = st.none() | st.floats(0, 200)
ALWAYS_DEAD = {
    "invalid_call": "invalid_call",
    "forbidden": "forbidden",
    "unrouted": "unrouted",
    "outcome_unknown": "outcome_unknown",
}


@st.composite
def errors(draw: st.DrawFn) -> GatewayError | None:
    """Any way a try may end."""
    kind = draw(st.sampled_from([None, Refused, NotNow, AttemptFailed, Expired, BucketFull]))
    if kind is None:
        return None
    if kind is Expired:
        return Expired()
    if kind is BucketFull:
        full = BucketFull(Bucket("b", ()), draw(st.floats(0, 200)), make_answer(429))
        full.waits_in_line = draw(st.booleans())
        return full
    # NotNow says by its nature that nothing was executed.
    outcome = Outcome.NOT_EXECUTED if kind is NotNow else draw(OUTCOMES)
    error: GatewayError = kind(draw(TYPES), "x", outcome=outcome, retry_after=draw(WAITS))
    return error


@tried
@given(
    error=errors(),
    klass=st.sampled_from("RIKN"),
    retry=st.sampled_from(["safe", "never", "always"]),
    left=st.floats(-100, 100),
    tries=st.integers(0, 6),
    doubtful=st.booleans(),
    has_reply_to=st.booleans(),
)
def test_every_end_is_one_of_the_contract(
    error: GatewayError | None,
    klass: str,
    retry: str,
    left: float,
    tries: int,
    doubtful: bool,
    has_reply_to: bool,
) -> None:
    job = make_job(klass, tries=tries, attempts=tries, retry=retry, deadline=NOW + left)
    job.doubtful = doubtful

    end = settle(error, job, NOW, POLICY, has_reply_to=has_reply_to)

    if isinstance(end, Again):
        assert error is not None
        assert left > 0
        assert 0 <= end.delay < left
        assert not isinstance(error, Refused | Expired)
        if isinstance(error, AttemptFailed):
            assert tries < POLICY.max_attempts
            # What may have been executed is repeated only where that does no harm.
            harmless = klass != "N" or retry == "always"
            assert error.outcome is Outcome.NOT_EXECUTED or (harmless and retry != "never")
        return
    assert end.reply == has_reply_to
    if error is None:
        assert end == Finish(None, reply=has_reply_to, dead=None)
        return
    assert end.error is not None
    _assert_buried(end, end.error, has_reply_to=has_reply_to)
    if klass == "N" and retry != "always" and end.error.outcome is Outcome.UNKNOWN:
        assert end.error.type is ErrorType.OUTCOME_UNKNOWN


def _assert_buried(end: Finish, error: GatewayError, *, has_reply_to: bool) -> None:
    always = ALWAYS_DEAD.get(error.type)
    if always is not None:
        assert end.dead == always
    elif has_reply_to:
        assert end.dead is None
    else:
        expired = isinstance(error, Expired)
        assert end.dead == (DeadReason.EXPIRED if expired else DeadReason.FAILED)
