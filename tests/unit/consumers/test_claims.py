"""Who carries out a call of a known id, and what the others are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest

from consumers.claims import PATIENCE_SECONDS, Claims, Occupied
from consumers.codec import address_of, open_envelope
from consumers.work import Work
from gateway.catalogue import ApiClass
from gateway.errors import Expired, GatewayError, Refused
from gateway.outcomes.protocol import Claim, InDoubt, Question, Recorded, Running
from schemas.reply import ErrorType, Outcome
from tests.support.builders import CLASSES, make_delivery, make_job
from tests.support.outcomes import SENT, Told, given, in_doubt

UNKNOWN = Refused(ErrorType.OUTCOME_UNKNOWN, "?", outcome=Outcome.UNKNOWN)
TIMEOUT = Refused(ErrorType.TIMEOUT, "?", outcome=Outcome.UNKNOWN)
SAID_NO = Refused(ErrorType.FEISHU_ERROR, "no", outcome=Outcome.EXECUTED)
NOT_DONE = Refused(ErrorType.RATE_LIMITED, "no slot")
TOLD = Recorded(None, b"{}", attempts=0, app="default")


def work(
    klass: str = "N",
    *,
    left: float = 60.0,
    age: float = 0.0,
    redelivered: bool = False,
    retry: str = "safe",
    id_given: bool = True,
) -> Work:
    now = time.time()
    delivery = make_delivery(
        orjson.dumps(CLASSES[klass]()), redelivered=redelivered, received=now - age
    )
    job = make_job(klass, retry=retry, deadline=now + left, id_given=id_given)
    made = Work(delivery, "default", address_of(delivery), open_envelope(delivery), job)
    if job.recorded:
        asked = ApiClass.KEYED if job.harmless else ApiClass.NEITHER
        made.question = Question("default", job.call_id, asked, b"content", redelivered)
    return made


def claims(records: Told, *, most_waiting: int = 8) -> Claims:
    return Claims(records, most_waiting=most_waiting)


async def error_of(taken: Any) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        await taken
    return raised.value


@pytest.mark.parametrize(
    ("klass", "id_given"), [("R", True), ("I", True), ("K", False), ("N", False)]
)
async def test_a_call_whose_end_is_not_recorded_asks_nobody(klass: str, id_given: bool) -> None:
    records = Told()
    call = work(klass, id_given=id_given)
    assert await claims(records).take(call) is None
    assert await claims(records).end(call, None, SENT) is SENT
    await claims(records).hand_back(call)
    assert not records.questions
    assert not records.completed


async def test_a_call_is_claimed_once_and_ends_once() -> None:
    records, call = Told(), work()
    gate = claims(records)
    for _ in range(2):
        assert await gate.take(call) is None
    assert len(records.questions) == 1
    assert await gate.end(call, None, SENT) == SENT
    assert await gate.end(call, UNKNOWN, TOLD) is TOLD
    assert [recorded for _, recorded in records.completed] == [SENT]


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_call_that_has_ended_is_answered_from_its_record(redelivered: bool) -> None:
    records = Told(lambda _: SENT)
    assert await claims(records).take(work(redelivered=redelivered)) is SENT


def unanswered(question: Question) -> InDoubt:
    return InDoubt(question, Claim(question, owner="", written=False, started=True))


async def test_while_no_store_answers_a_call_in_doubt_waits_for_one() -> None:
    records = Told(unanswered, lambda _: SENT)
    assert await claims(records).take(work(redelivered=True)) is SENT


async def test_before_its_deadline_it_is_told_that_nobody_knows() -> None:
    answers = [unanswered] * 100
    error = await error_of(claims(Told(*answers)).take(work(redelivered=True, left=0.1)))
    assert error.type is ErrorType.OUTCOME_UNKNOWN


async def test_another_content_is_refused() -> None:
    reused = Refused(ErrorType.ID_REUSED, "other")
    assert await error_of(claims(Told(lambda _: reused)).take(work())) is reused


async def test_a_redelivered_n_call_is_carried_out_where_it_was_not_started() -> None:
    call = work(redelivered=True)
    assert await claims(Told()).take(call) is None
    assert call.job.claim is not None


@pytest.mark.parametrize(
    ("klass", "retry", "id_given"),
    [("N", "safe", False), ("R", "never", True), ("K", "never", True), ("K", "safe", False)],
)
async def test_where_no_record_can_tell_a_redelivered_call_is_not_sent_again(
    klass: str, retry: str, id_given: bool
) -> None:
    call = work(klass, retry=retry, id_given=id_given, redelivered=True)
    error = await error_of(claims(Told()).take(call))
    assert (error.type, error.outcome) == (ErrorType.OUTCOME_UNKNOWN, Outcome.UNKNOWN)


async def test_a_call_in_doubt_ends_so_and_that_is_recorded() -> None:
    records, call = Told(in_doubt), work()
    gate = claims(records)
    error = await error_of(gate.take(call))
    assert error.type is ErrorType.OUTCOME_UNKNOWN
    await gate.end(call, error, TOLD)
    [(claim, recorded)] = records.completed
    assert (claim.owner, recorded) == ("", TOLD)


async def test_a_call_that_ended_elsewhere_meanwhile_ends_as_there() -> None:
    records, call = Told(), work()
    records.stands = SENT
    gate = claims(records)
    await gate.take(call)
    assert await gate.end(call, UNKNOWN, TOLD) is SENT


@pytest.mark.parametrize(
    ("klass", "retry", "error", "attempts", "kept"),
    [
        ("N", "safe", None, 1, "recorded"),
        ("K", "safe", None, 1, "recorded"),
        ("N", "always", None, 1, "recorded"),
        ("N", "safe", SAID_NO, 1, "recorded"),
        ("K", "never", SAID_NO, 1, "recorded"),
        ("N", "safe", UNKNOWN, 1, "recorded"),
        ("N", "never", UNKNOWN, 1, "recorded"),
        ("K", "safe", TIMEOUT, 4, "content"),
        ("K", "never", TIMEOUT, 1, "content"),
        ("N", "always", TIMEOUT, 4, "nothing"),
        ("K", "safe", NOT_DONE, 1, "content"),
        ("K", "safe", NOT_DONE, 0, "nothing"),
        ("N", "safe", NOT_DONE, 1, "nothing"),
    ],
)
async def test_what_is_kept_of_how_a_call_ended(
    klass: str, retry: str, error: GatewayError | None, attempts: int, kept: str
) -> None:
    records, call = Told(), work(klass, retry=retry)
    gate = claims(records)
    await gate.take(call)
    call.job.attempts = attempts
    await gate.end(call, error, TOLD)
    assert bool(records.completed) is (kept == "recorded")
    assert [remember for _, remember in records.handed_back] == (
        [] if kept == "recorded" else [kept == "content"]
    )


async def test_the_content_of_a_k_call_stays_known_that_was_sent_by_a_lost_process() -> None:
    records, call = Told(), work("K", redelivered=True)
    gate = claims(records)
    await gate.take(call)
    await gate.end(call, NOT_DONE, TOLD)
    assert [remember for _, remember in records.handed_back] == [True]


@pytest.mark.parametrize(("klass", "kept"), [("K", True), ("N", False)])
async def test_what_was_known_of_a_k_call_stays_known_though_its_repeat_was_never_sent(
    klass: str, kept: bool
) -> None:
    def known(question: Question) -> Claim:
        return replace(given(question), known=True)

    records, call = Told(known), work(klass)
    gate = claims(records)
    assert await gate.take(call) is None
    await gate.end(call, NOT_DONE, TOLD)
    assert [remember for _, remember in records.handed_back] == [kept]


@pytest.mark.parametrize(("klass", "doubted"), [("N", False), ("K", True)])
async def test_who_hands_a_call_back_says_that_it_did_nothing(klass: str, doubted: bool) -> None:
    records, call = Told(), work(klass, redelivered=True)
    gate = claims(records)
    await gate.take(call)
    await gate.hand_back(call)
    await gate.hand_back(call)
    assert [remember for _, remember in records.handed_back] == [True]
    assert call.redelivered is doubted
    assert await gate.take(call) is None
    assert len(records.questions) == 2


async def test_a_repeat_waits_in_hand_for_a_second_and_then_in_the_broker() -> None:
    records = Told(*[Running] * 50)
    took = 0.0

    async def ended(running: Running, timeout: float) -> None:
        nonlocal took
        took += timeout
        await asyncio.sleep(timeout)

    records.ended = ended  # type: ignore[method-assign]
    with pytest.raises(Occupied) as occupied:
        await claims(records).take(work())
    assert occupied.value.rung == 1
    assert took == pytest.approx(PATIENCE_SECONDS, abs=0.1)


async def test_a_repeat_in_the_same_process_hears_of_the_end_at_once() -> None:
    records = Told(Running, lambda _: SENT)
    assert await claims(records).take(work()) is SENT
    assert len(records.waits) == 1


@pytest.mark.parametrize(
    ("age", "left", "rung"), [(1, 60, 1), (12, 48, 5), (200, 3600, 60), (200, 4, 2), (9e4, 9e4, 60)]
)
async def test_the_longer_a_repeat_waits_the_more_rarely_it_asks(
    age: float, left: float, rung: int
) -> None:
    gate = claims(Told(*[Running] * 9), most_waiting=0)
    with pytest.raises(Occupied) as occupied:
        await gate.take(work(age=age, left=left))
    assert occupied.value.rung == rung


async def test_a_repeat_whose_deadline_comes_before_any_rung_is_over_waits_in_hand() -> None:
    records = Told(*[Running] * 9)

    async def ended(running: Running, timeout: float) -> None:
        await asyncio.sleep(timeout)

    records.ended = ended  # type: ignore[method-assign]
    error = await error_of(claims(records, most_waiting=0).take(work("K", left=0.2)))
    assert isinstance(error, Expired)


@pytest.mark.parametrize(
    ("redelivered", "type_"),
    [(False, ErrorType.DEADLINE_EXCEEDED), (True, ErrorType.OUTCOME_UNKNOWN)],
)
async def test_what_may_have_been_sent_is_not_called_unmade_when_its_time_is_over(
    redelivered: bool, type_: ErrorType
) -> None:
    records = Told(Running)
    call = work(redelivered=redelivered, left=0.0)
    gate = claims(records)
    error = await error_of(gate.take(call))
    assert error.type is type_
    await gate.end(call, error, TOLD)
    assert bool(records.completed) is redelivered


@pytest.mark.parametrize("first", [given, in_doubt, lambda _: SENT])
async def test_a_call_whose_time_is_over_is_asked_about_all_the_same(
    first: Callable[[Question], Any],
) -> None:
    records = Told(first)
    with suppress(Refused):
        await claims(records).take(work(left=-1.0))
    assert len(records.questions) == 1
