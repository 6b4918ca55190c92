"""What becomes of a call whose turn is not now, and what is said of a try that has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest
from pydantic import SecretStr

from consumers.backlog import Backlog
from consumers.claims import Claims
from consumers.codec import Delivery
from consumers.endings import Endings
from consumers.members import Members
from consumers.opening import Opener
from consumers.overflow import Mover
from consumers.pipeline import Pipeline
from consumers.replies import error_of, said_of
from consumers.scheduler import Scheduler
from consumers.settlement import Finish
from consumers.tries import Tries
from consumers.turns import Closing, Overflow, Park, Turn
from consumers.work import Work
from gateway.apps import Apps
from gateway.errors import NotNow, Refused
from gateway.executor import Ended, Executor
from gateway.limits.buckets import Bucket
from gateway.member_claims import MemberClaims
from gateway.metrics import Metrics
from gateway.outcomes.protocol import Recorded, Running
from gateway.producer_grants import ProducerGrants
from gateway.redaction import Redactor
from gateway.retry import RetryPolicy
from schemas import names
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType, Outcome
from tests.support.builders import APP, dimensions, make_answer, make_delivery
from tests.support.calls import invite, read, send
from tests.support.outcomes import SENT, Told, given, in_doubt

FULL = Bucket("full", ())
TURN = Turn(waited=0.25, holder="h", permit_at=12.5)


class Steps:
    """The parts beside the pipeline: what they are told, and what they answer."""

    def __init__(self, turn: Turn | Exception, *, room: bool = True, defect: bool = False) -> None:
        self.turn_given, self.room, self.defect = turn, room, defect
        self.asked: dict[str, Any] = {}
        self.moved: list[Bucket] = []
        self.sent_on: list[tuple[str, dict[str, Any]]] = []
        self.ends: list[Finish] = []
        self.told: list[tuple[Recorded, bool]] = []
        self.records = Told()
        self.finished_turns: list[Turn] = []
        self.permit_at = 0.0
        self.made_way = 0
        self.while_waiting: Callable[[], None] = list
        self.app = APP
        self.foreseen: Refused | None = None
        self.ended = Ended(make_answer(document={"code": 0}), None)
        self.loses_claim = False

    async def turn(self, job: Any, lane: str, **how: Any) -> Turn:
        self.asked = {"lane": lane, **how}
        self.while_waiting()
        if isinstance(self.turn_given, Exception):
            raise self.turn_given
        return self.turn_given

    def dismiss(self, judge: Any) -> None:
        pass

    def finished(self, job: Any, turn: Turn) -> None:
        self.finished_turns.append(turn)

    async def foresee(self, job: Any) -> None:
        if self.foreseen is not None:
            raise self.foreseen

    async def execute(self, job: Any) -> Ended:
        self.permit_at, self.app = job.permit_at, job.app
        if self.defect:
            raise RuntimeError("defect")
        if self.loses_claim:
            job.claim = None
        return self.ended

    async def move(self, work: Work, bucket: Bucket) -> bool:
        self.moved.append(bucket)
        return self.room

    def make_way(self) -> None:
        self.made_way += 1

    async def send_on(self, exchange: str, key: str, body: bytes, properties: Any) -> None:
        self.sent_on.append((exchange, properties["headers"]))

    def said(self, work: Work, error: Any, answer: Any) -> Recorded:
        told = None if error is None else error_of(error, Redactor())
        return said_of(answer, told, attempts=work.job.attempts, app=work.job.app.alias)

    async def of_work(self, work: Work, ending: Finish, said: Recorded, **how: Any) -> None:
        self.ends.append(ending)
        self.told.append((said, how.get("duplicate", False)))


def pipeline(steps: Steps, apps: Apps | None = None) -> Pipeline:
    apps, metrics = apps or Apps([APP]), Metrics()
    members = Members(apps, dimensions(), Backlog(), list)
    tries = Tries(apps, members, cast(Scheduler, steps), cast(Executor, steps), metrics)
    return Pipeline(
        opener=Opener(
            *(apps, dimensions(), members, cast(MemberClaims, None)), ProducerGrants(dimensions())
        ),
        claims=Claims(steps.records, most_waiting=8),
        tries=tries,
        endings=cast(Endings, steps),
        policy=RetryPolicy(),
        metrics=metrics,
        overflow=cast(Mover, steps),
    )


def call(left: float = 60.0, body: dict[str, Any] | None = None, **changes: Any) -> Delivery:
    deadline = {names.HEADER_DEADLINE: int((time.time() + left) * 1000)}
    given = {"received": time.time(), "headers": deadline, "reply_to": "amq_r", **changes}
    return make_delivery(orjson.dumps(body or read()), **given)


async def test_what_no_slot_would_help_is_answered_before_it_waits_for_one() -> None:
    steps = Steps(Overflow(FULL, time.time() + 60))
    steps.foreseen = Refused(ErrorType.REAUTH_REQUIRED, "the grant is gone")
    assert await pipeline(steps).process(call(), "default")
    assert [end.error for end in steps.ends] == [steps.foreseen]
    assert not steps.asked


async def test_a_call_that_waited_is_made_with_the_secret_that_its_app_has_by_then() -> None:
    steps, apps = Steps(TURN), Apps([APP])
    changed = replace(APP, secret=SecretStr("changed"))
    steps.while_waiting = lambda: apps.put(changed)
    assert await pipeline(steps, apps).process(call(), "default")
    assert steps.app == changed


async def test_the_scheduler_is_told_who_calls_and_hears_when_the_try_has_ended() -> None:
    steps = Steps(TURN)
    delivery = call(user_id="p", routing_key="default.bulk", exchange=names.OVERFLOW_EXCHANGE)
    delivery.headers[names.HEADER_ORIGIN_USER] = "p"  # type: ignore[index]
    delivery.headers[names.HEADER_MOVED_AT] = int(time.time() * 1000)  # type: ignore[index]
    assert await pipeline(steps).process(delivery, "default")
    assert steps.asked == {"lane": "bulk", "producer": "p", "moved": True}
    assert steps.permit_at == TURN.permit_at
    assert steps.finished_turns == [TURN]
    assert steps.ends == [Finish(None, reply=True, dead=None)]


async def test_interactive_calls_are_made_way_for() -> None:
    for lane, times in (("interactive", 1), ("bulk", 0)):
        steps = Steps(TURN)
        assert await pipeline(steps).process(call(routing_key=f"default.{lane}"), "default")
        assert steps.made_way == times


async def test_the_scheduler_hears_of_a_try_that_broke_down() -> None:
    steps = Steps(TURN, defect=True)
    with pytest.raises(RuntimeError, match="defect"):
        await pipeline(steps).process(call(), "default")
    assert steps.finished_turns == [TURN]


async def test_a_moved_call_is_done_with_here() -> None:
    steps = Steps(Overflow(FULL, time.time() + 20))
    assert await pipeline(steps).process(call(), "default")
    assert steps.moved == [FULL]
    assert not steps.sent_on
    assert not steps.ends


async def test_a_call_that_cannot_be_moved_waits_on_a_rung_that_is_over_before_its_turn() -> None:
    not_before = time.time() + 20
    steps = Steps(Overflow(FULL, not_before), room=False)
    assert await pipeline(steps).process(call(), "default")
    [(rung, headers)] = steps.sent_on
    assert rung == names.rung(15)
    assert headers[names.HEADER_NOT_BEFORE] == int(not_before * 1000)
    assert steps.moved == [FULL]


async def test_a_moved_call_that_must_wait_longer_is_parked_and_not_moved_again() -> None:
    steps = Steps(Park(time.time() + 1000))
    assert await pipeline(steps).process(call(left=2000), "default")
    assert [rung for rung, _ in steps.sent_on] == [names.rung(900)]
    assert not steps.moved


async def test_a_call_that_no_rung_brings_back_in_time_is_told_so() -> None:
    steps = Steps(Overflow(FULL, time.time() + 0.4), room=False)
    assert await pipeline(steps).process(call(left=0.8), "default")
    assert not steps.sent_on
    [end] = steps.ends
    assert end.error is not None
    assert end.error.type is ErrorType.RATE_LIMITED
    assert end.error.retry_after == pytest.approx(0.4, abs=0.1)


async def test_a_call_that_was_not_started_goes_back_on_drain() -> None:
    steps = Steps(Closing())
    assert not await pipeline(steps).process(call(message_id="c-1"), "default")
    assert not steps.finished_turns


async def test_a_call_is_completed_before_it_is_answered() -> None:
    steps = Steps(TURN)
    steps.records.stands = SENT
    assert await pipeline(steps).process(call(body=invite(), message_id="c-1"), "default")
    [(claim, mine)] = steps.records.completed
    assert claim.question.call_id == "c-1"
    assert mine != SENT
    assert steps.told == [(SENT, True)], "another process was faster, and what it said stands"


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_call_that_is_on_record_is_answered_and_not_made(redelivered: bool) -> None:
    steps = Steps(TURN)
    steps.records = Told(lambda _: SENT)
    delivery = call(body=send(), message_id="c-1", redelivered=redelivered)
    assert await pipeline(steps).process(delivery, "default")
    assert steps.told == [(SENT, True)]
    assert not steps.asked


async def test_a_recorded_error_is_buried_as_it_was_before() -> None:
    told = error_of(Refused(ErrorType.OUTCOME_UNKNOWN, "?", outcome=Outcome.UNKNOWN), Redactor())
    recorded = said_of(None, told, attempts=1, app="default")
    steps = Steps(TURN)
    steps.records = Told(lambda _: recorded)
    assert await pipeline(steps).process(call(body=invite(), message_id="c-1"), "default")
    assert steps.told == [(recorded, True)]
    assert [(end.reply, end.dead) for end in steps.ends] == [(True, DeadReason.OUTCOME_UNKNOWN)]


async def test_a_call_in_doubt_is_answered_so_and_not_made() -> None:
    steps = Steps(TURN)
    steps.records = Told(in_doubt)
    assert await pipeline(steps).process(call(body=invite(), message_id="c-1"), "default")
    [(said, duplicate)] = steps.told
    assert b"outcome_unknown" in (said.error or b"")
    assert not duplicate
    assert [recorded for _, recorded in steps.records.completed] == [said]
    assert not steps.asked


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_repeat_waits_on_a_rung_and_is_known_there_for_what_it_was(
    redelivered: bool,
) -> None:
    steps = Steps(TURN)
    steps.records = Told(*[Running] * 1000)
    gate = pipeline(steps)
    gate._claims._most_waiting = 0
    delivery = call(body=invite(), message_id="c-1", redelivered=redelivered)
    assert await gate.process(delivery, "default")
    [(rung, headers)] = steps.sent_on
    assert rung == names.rung(1)
    assert headers.get(names.HEADER_REDELIVERED, False) is redelivered
    assert not steps.records.handed_back


@pytest.mark.parametrize(
    "turn",
    [Overflow(FULL, time.time() + 20), Park(time.time() + 20), Closing()],
    ids=["moved", "parked", "drained"],
)
@pytest.mark.parametrize("build", [send, invite])
async def test_who_sends_a_call_on_hands_it_back_first(
    turn: Exception, build: Callable[[], dict[str, Any]]
) -> None:
    steps = Steps(turn)
    delivery = call(body=build(), message_id="c-1", redelivered=True)
    assert await pipeline(steps).process(delivery, "default") is not (
        isinstance(turn, Closing) and build is send
    )
    assert [remember for _, remember in steps.records.handed_back] == [True]
    for _, headers in steps.sent_on:
        assert headers.get(names.HEADER_REDELIVERED, False) is (build is send)
    assert not steps.records.completed


async def test_a_call_that_another_process_took_over_is_asked_about_again() -> None:
    steps = Steps(TURN)
    steps.records = Told(given, lambda _: SENT)
    steps.ended = Ended(None, NotNow(ErrorType.STORE_UNAVAILABLE, "taken over", retry_after=0.0))
    steps.loses_claim = True
    assert await pipeline(steps).process(call(body=invite(), message_id="c-1"), "default")
    assert steps.told == [(SENT, True)]


@pytest.mark.parametrize(("build", "kept"), [(send, False), (invite, True)])
async def test_a_defect_leaves_no_call_claimed(
    build: Callable[[], dict[str, Any]], kept: bool
) -> None:
    steps = Steps(TURN, defect=True)
    with pytest.raises(RuntimeError, match="defect"):
        await pipeline(steps).process(call(body=build(), message_id="c-1"), "default")
    assert bool(steps.records.completed) is kept
    assert bool(steps.records.handed_back) is not kept
