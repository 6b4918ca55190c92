"""How a try ended decides what becomes of its delivery."""

from __future__ import annotations

import pytest

from consumers.codec import Poison
from consumers.settlement import Again, Finish, end_unopened, finish, redelivered_unsafe, settle
from gateway.circuits import CircuitOpen
from gateway.errors import AttemptFailed, Expired, GatewayError, NotNow, Refused
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from gateway.retry import RetryPolicy
from gateway.verdict import BucketFull
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType, Outcome
from tests.support.builders import NOW, make_answer, make_job

POLICY = RetryPolicy(max_attempts=4)
UNAVAILABLE, UNKNOWN = ErrorType.FEISHU_UNAVAILABLE, Outcome.UNKNOWN
MAYBE = AttemptFailed(UNAVAILABLE, "cut", outcome=UNKNOWN, code=7, log_id="L")
NOT_DONE = AttemptFailed(UNAVAILABLE, "refused")
BAD = Refused(ErrorType.BAD_RESPONSE, "no HTTP", outcome=UNKNOWN)


def full(pause: float, kind: str = "") -> BucketFull:
    return BucketFull(Bucket("b", (), name=kind), pause, make_answer(429))


def settled(error: GatewayError | None, job: Job, **how: object) -> Finish | Again:
    return settle(error, job, NOW, POLICY, **{"has_reply_to": True, **how})


def final(error: GatewayError | None, job: Job, **how: object) -> GatewayError:
    end = settled(error, job, **how)
    assert isinstance(end, Finish), end
    assert end.error is not None
    return end.error


@pytest.mark.parametrize("has_reply_to", [True, False])
def test_a_success_is_a_reply_where_somebody_waits_and_never_a_dead_letter(
    has_reply_to: bool,
) -> None:
    end = settled(None, make_job(), has_reply_to=has_reply_to)
    assert end == Finish(None, reply=has_reply_to, dead=None)


@pytest.mark.parametrize(
    ("type_", "waited_for", "alone"),
    [
        (ErrorType.INVALID_CALL, DeadReason.INVALID_CALL, DeadReason.INVALID_CALL),
        (ErrorType.FORBIDDEN, DeadReason.FORBIDDEN, DeadReason.FORBIDDEN),
        (ErrorType.UNROUTED, DeadReason.UNROUTED, DeadReason.UNROUTED),
        (ErrorType.OUTCOME_UNKNOWN, DeadReason.OUTCOME_UNKNOWN, DeadReason.OUTCOME_UNKNOWN),
        *(
            (type_, None, DeadReason.FAILED)
            for type_ in ErrorType
            if type_ not in ("invalid_call", "forbidden", "unrouted", "outcome_unknown")
        ),
    ],
)
def test_where_a_final_error_goes(
    type_: ErrorType, waited_for: DeadReason | None, alone: DeadReason
) -> None:
    error = Refused(type_, "x")
    assert finish(error, has_reply_to=True) == Finish(error, reply=True, dead=waited_for)
    assert finish(error, has_reply_to=False) == Finish(error, reply=False, dead=alone)


def test_an_expired_call_is_a_dead_letter_only_where_nobody_waits() -> None:
    assert finish(Expired(), has_reply_to=True).dead is None
    assert finish(Expired(), has_reply_to=False).dead is DeadReason.EXPIRED


@pytest.mark.parametrize("klass", ["R", "I", "K"])
def test_an_attempt_that_may_have_been_executed_is_repeated_where_it_does_no_harm(
    klass: str,
) -> None:
    end = settled(MAYBE, make_job(klass, tries=1, attempts=1))
    assert isinstance(end, Again)
    assert 0 <= end.delay <= POLICY.ceiling(1)


def test_an_n_call_that_may_have_been_executed_is_not_repeated() -> None:
    end = settled(MAYBE, make_job("N", tries=1, attempts=1))
    assert isinstance(end, Finish)
    assert end.dead is DeadReason.OUTCOME_UNKNOWN
    assert end.error is not None
    assert (end.error.type, end.error.outcome) == (ErrorType.OUTCOME_UNKNOWN, UNKNOWN)
    assert (end.error.code, end.error.log_id) == (7, "L")
    assert "POST /open-apis/im/v1/chats/:chat_id/members" in (end.error.hint or "")


@pytest.mark.parametrize("klass", ["R", "I", "K", "N"])
def test_an_attempt_that_was_not_executed_is_repeated_whatever_its_class(klass: str) -> None:
    for retry in ("safe", "never", "always"):
        assert isinstance(settled(NOT_DONE, make_job(klass, tries=1, retry=retry)), Again)


def test_retry_always_repeats_an_n_call() -> None:
    assert isinstance(settled(MAYBE, make_job("N", tries=1, retry="always")), Again)


@pytest.mark.parametrize("klass", ["R", "I", "K"])
def test_retry_never_ends_with_the_attempt_that_may_have_been_executed(klass: str) -> None:
    assert final(MAYBE, make_job(klass, tries=1, retry="never")) is MAYBE


@pytest.mark.parametrize(("tries", "pause"), [(1, 5), (2, 60), (3, 300)])
def test_where_nobody_waits_a_repeat_is_put_off_and_paid_for_later(tries: int, pause: int) -> None:
    job = make_job(tries=tries, deadline=NOW + 3600)
    assert settled(MAYBE, job, has_reply_to=False) == Again(pause)


def test_where_nobody_waits_but_the_deadline_is_near_a_repeat_comes_at_once() -> None:
    end = settled(MAYBE, make_job(tries=2), has_reply_to=False)
    assert isinstance(end, Again)
    assert end.delay <= POLICY.ceiling(2)


def test_without_a_budget_who_waits_is_told_and_who_does_not_is_put_off() -> None:
    job, too_many = make_job(tries=1), AttemptFailed(UNAVAILABLE, "cut", outcome=UNKNOWN)
    too_many.affordable = False
    assert final(too_many, job) is too_many
    assert settled(too_many, job, has_reply_to=False) == Again(5.0)


def test_no_attempt_is_planned_that_the_api_would_not_answer_in_time() -> None:
    job = make_job(tries=1, deadline=NOW + 3)
    job.needs = 3.0
    assert final(MAYBE, job) is MAYBE


def test_an_open_breaker_is_waited_for_in_line_or_said_at_once() -> None:
    assert settled(CircuitOpen(7.0), make_job()) == Again(0.0)
    error = final(CircuitOpen(61.0), make_job())
    assert (error.type, error.outcome) == (ErrorType.CIRCUIT_OPEN, Outcome.NOT_EXECUTED)
    assert error.retry_after == 61.0


@pytest.mark.parametrize("error", [MAYBE, NOT_DONE])
def test_attempts_are_spent_at_the_fourth(error: AttemptFailed) -> None:
    assert isinstance(settled(error, make_job(tries=3)), Again)
    assert final(error, make_job(tries=4)) is error


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_no_attempt_is_planned_for_after_the_deadline(left: float) -> None:
    job = make_job(tries=1, deadline=NOW + left)
    assert final(MAYBE, job) is MAYBE


@pytest.mark.parametrize(("klass", "type_"), [("R", BAD.type), ("N", ErrorType.OUTCOME_UNKNOWN)])
def test_an_unusable_answer_is_final_at_once(klass: str, type_: ErrorType) -> None:
    assert final(BAD, make_job(klass, tries=1)).type is type_


@pytest.mark.parametrize("kind", ["GET /x", "chat", "table"])
def test_a_full_bucket_is_waited_for_in_its_line(kind: str) -> None:
    assert settled(full(7.0, kind), make_job(tries=9)) == Again(0.0)


def test_a_full_bucket_whose_limiter_holds_nobody_back_is_waited_for_all_the_same() -> None:
    error = full(7.0)
    error.waits_in_line = False
    assert settled(error, make_job(tries=9)) == Again(7.0)


def test_a_call_that_has_to_wait_waits() -> None:
    wait = NotNow(ErrorType.RATE_LIMITED, "chat", retry_after=1.5)
    assert settled(wait, make_job(tries=9)) == Again(1.5)
    assert settled(NotNow(ErrorType.FEISHU_ERROR, "token"), make_job()) == Again(0.0)


def test_a_wait_beyond_the_deadline_is_said_at_once() -> None:
    wait = NotNow(ErrorType.RATE_LIMITED, "chat", retry_after=61.0, code=230020, log_id="L")
    error = final(wait, make_job())
    assert (error.type, error.outcome) == (ErrorType.RATE_LIMITED, Outcome.NOT_EXECUTED)
    assert (error.retry_after, error.code, error.log_id) == (61.0, 230020, "L")


def test_a_wait_for_something_else_is_not_called_a_limit() -> None:
    wait = NotNow(ErrorType.STORE_UNAVAILABLE, "no ticket yet", retry_after=61.0)
    error = final(wait, make_job())
    assert (error.type, error.message) == (ErrorType.STORE_UNAVAILABLE, "no ticket yet")


def test_a_wait_that_outlived_the_deadline_is_an_expired_call() -> None:
    end = settled(full(1.0), make_job(deadline=NOW), has_reply_to=False)
    assert isinstance(end, Finish)
    assert end.dead is DeadReason.EXPIRED


@pytest.mark.parametrize(
    "error",
    [
        Expired(),
        NOT_DONE,
        Refused(ErrorType.RATE_LIMITED, "no slot", retry_after=9.0),
        NotNow(ErrorType.RATE_LIMITED, "chat", retry_after=61.0),
        Refused(ErrorType.APP_UNAVAILABLE, "disabled meanwhile"),
        Refused(ErrorType.UNROUTED, "removed meanwhile"),
    ],
)
def test_what_follows_an_attempt_that_may_have_been_executed_does_not_undo_it(
    error: GatewayError,
) -> None:
    job = make_job("K", tries=4, attempts=1)
    job.doubtful = True
    told = final(error, job)
    assert (told.type, told.outcome) == (UNAVAILABLE, UNKNOWN)
    assert "earlier attempt" in told.message


def test_feishus_own_answer_stands_whatever_came_before() -> None:
    job = make_job("K", tries=2, attempts=2)
    job.doubtful = True
    denied = Refused(ErrorType.PERMISSION_DENIED, "scope")
    assert final(denied, job) is denied


def test_poison_is_answered_with_its_type_and_buried_with_its_reason() -> None:
    poison = Poison(DeadReason.MALFORMED, ErrorType.INVALID_CALL, "body: is empty")
    end = end_unopened(poison, has_reply_to=True)
    assert (end.reply, end.dead) == (True, DeadReason.MALFORMED)
    assert end.error is not None
    assert (end.error.type, end.error.outcome) == (ErrorType.INVALID_CALL, Outcome.NOT_EXECUTED)
    assert not end_unopened(poison, has_reply_to=False).reply


def test_of_a_call_that_crashed_its_processes_nothing_is_known() -> None:
    poison = Poison(DeadReason.DELIVERY_LIMIT, ErrorType.INTERNAL, "crashes")
    end = end_unopened(poison, has_reply_to=True)
    assert end.error is not None
    assert (end.dead, end.error.outcome) == (DeadReason.DELIVERY_LIMIT, UNKNOWN)


def test_an_error_before_the_call_goes_where_others_go() -> None:
    gone = Refused(ErrorType.REAUTH_REQUIRED, "grant")
    assert end_unopened(gone, has_reply_to=True).dead is None
    assert end_unopened(gone, has_reply_to=False).dead is DeadReason.FAILED


def test_a_redelivered_call_that_may_do_harm_is_unknown() -> None:
    error = redelivered_unsafe(make_job("N"))
    assert (error.type, error.outcome) == (ErrorType.OUTCOME_UNKNOWN, UNKNOWN)
