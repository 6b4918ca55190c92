"""Who may carry out a call: duplicates, redeliveries, owners that die and owners that wake."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from gateway.database import Database
from gateway.errors import NotNow, Refused
from gateway.outcomes.postgres_records import PostgresRecords
from gateway.outcomes.protocol import Claim, InDoubt, Question, Recorded, Running
from schemas.reply import ErrorType, Outcome
from tests.integration.gateway.outcomes.support import K, Member, N, end, member, question


@pytest.fixture(params=["redis", "postgres"])
async def fleet(request: pytest.FixtureRequest, redis: Redis, database: Database) -> list[Member]:
    """Three processes that share one store."""
    members = [member(request.param, redis, database) for _ in range(3)]
    for one in members:
        await one.keeper.beat()
    return members


async def claimed(one: Member, asked: Question) -> Claim:
    answer = await one.records.claim(asked)
    assert isinstance(answer, Claim), answer
    assert answer.written
    return answer


def again(asked: Question) -> Question:
    return question(asked.call_id, asked.klass, redelivered=True)


async def test_a_duplicate_in_the_same_process_is_told_at_once(fleet: list[Member]) -> None:
    one, asked = fleet[0], question()
    claim = await claimed(one, asked)
    running = await one.records.claim(asked)
    assert isinstance(running, Running)
    waiting = asyncio.create_task(one.records.ended(running, 60.0))
    await asyncio.sleep(0)
    await one.records.begin(claim)
    await one.records.complete(claim, end())
    async with asyncio.timeout(5):
        await waiting
    assert await one.records.claim(asked) == end()


async def test_a_duplicate_in_another_process_looks_until_it_is_told(fleet: list[Member]) -> None:
    one, other, asked = *fleet[:2], question()
    claim = await claimed(one, asked)
    running = await other.records.claim(asked)
    assert isinstance(running, Running)
    await other.records.ended(running, 0.01)
    assert isinstance(await other.records.claim(asked), Running)
    waiting = asyncio.create_task(other.records.ended(running, 60.0))
    await one.records.begin(claim)
    await one.records.complete(claim, end())
    async with asyncio.timeout(10):
        await waiting
    assert await other.records.claim(asked) == end()


@pytest.mark.parametrize("state", ["claimed", "started", "recorded", "content"])
async def test_another_content_is_refused_in_every_state(fleet: list[Member], state: str) -> None:
    one, other, asked = *fleet[:2], question(klass=K)
    claim = await claimed(one, asked)
    if state != "claimed":
        await one.records.begin(claim)
    if state == "recorded":
        await one.records.complete(claim, end())
    if state == "content":
        await one.records.hand_back(claim, remember=True)
    for asker in (one, other):
        with pytest.raises(Refused) as refused:
            await asker.records.claim(question(asked.call_id, K, content=b"o"))
        assert refused.value.type is ErrorType.ID_REUSED
        assert refused.value.outcome is Outcome.NOT_EXECUTED
        assert asked.call_id in refused.value.message
        assert refused.value.hint


async def test_what_is_handed_back_is_claimed_again(fleet: list[Member]) -> None:
    one, other = fleet[:2]
    for klass in (K, N):
        for remember in (False, True):
            asked = question(klass=klass)
            claim = await claimed(one, asked)
            await one.records.begin(claim)
            await one.records.hand_back(claim, remember=remember)
            await claimed(other, again(asked) if remember else asked)


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_started_call_whose_process_is_gone_is_in_doubt_for_all(
    fleet: list[Member], redelivered: bool
) -> None:
    zombie, other, third = fleet
    asked = question()
    claim = await claimed(zombie, asked)
    await zombie.records.begin(claim)
    await zombie.die()
    doubt = await other.records.claim(question(asked.call_id, redelivered=redelivered))
    assert isinstance(doubt, InDoubt)
    assert isinstance(await third.records.claim(again(asked)), InDoubt)
    unknown = Recorded(None, b'{"type":"outcome_unknown"}', 0, "default")
    assert await other.records.complete(doubt.claim, unknown) == unknown
    assert await third.records.claim(asked) == unknown
    await zombie.keeper.beat()
    assert await zombie.records.complete(claim, end("late")) == unknown


async def test_a_late_end_stands_where_the_doubt_was_not_yet_said(fleet: list[Member]) -> None:
    zombie, other, _ = fleet
    asked = question()
    claim = await claimed(zombie, asked)
    await zombie.records.begin(claim)
    await zombie.die()
    doubt = await other.records.claim(again(asked))
    assert isinstance(doubt, InDoubt)
    await zombie.records.complete(claim, end("known"))
    assert await other.records.complete(doubt.claim, end("unknown")) == end("known")


@pytest.mark.parametrize("redelivered", [False, True])
async def test_an_unstarted_call_is_taken_over_and_its_zombie_cannot_start_it(
    fleet: list[Member], redelivered: bool
) -> None:
    zombie, other, _ = fleet
    asked = question()
    claim = await claimed(zombie, asked)
    await zombie.die()
    taken = await claimed(other, question(asked.call_id, redelivered=redelivered))
    await zombie.keeper.beat()
    with pytest.raises(NotNow) as lost:
        await zombie.records.begin(claim)
    assert lost.value.retry_after == 0
    assert isinstance(await zombie.records.claim(again(asked)), Running)
    await zombie.records.hand_back(claim, remember=False)
    await other.records.begin(taken)
    assert await other.records.complete(taken, end()) == end()


async def test_a_keyed_call_is_taken_over_within_the_window_of_its_key(fleet: list[Member]) -> None:
    zombie, other, third = fleet
    late = question(klass=K, key_seconds=0.0)
    for asked in (question(klass=K), late):
        await zombie.records.begin(await claimed(zombie, asked))
    young = next(iter(zombie.keeper.in_hand._held.values())).question
    await zombie.die()
    await claimed(other, again(young))
    doubt = await third.records.claim(question(late.call_id, K, redelivered=True, key_seconds=0.0))
    assert isinstance(doubt, InDoubt)


async def test_nothing_on_record_proves_nothing_of_a_redelivered_call(fleet: list[Member]) -> None:
    one, other, _ = fleet
    asked = question(redelivered=True)
    doubt = await one.records.claim(asked)
    assert isinstance(doubt, InDoubt)
    assert isinstance(await other.records.claim(asked), InDoubt)
    await claimed(one, question(klass=K, redelivered=True))


async def test_two_at_once_in_one_process_get_one_claim(fleet: list[Member]) -> None:
    asked = question()
    answers = await asyncio.gather(*(one.records.claim(asked) for one in fleet for _ in range(5)))
    assert sum(isinstance(answer, Claim) for answer in answers) == 1
    assert sum(isinstance(answer, Running) for answer in answers) == len(answers) - 1


async def test_a_claim_left_over_from_a_lost_answer_is_its_owners_again(
    fleet: list[Member],
) -> None:
    one, asked = fleet[0], question()
    await one.store.claim(asked, doubtful=False)
    claim = await claimed(one, asked)
    await one.records.begin(claim)


async def test_what_is_a_day_old_is_purged(database: Database) -> None:
    one = member("postgres", None, database)  # type: ignore[arg-type]  # never asked
    old, young = question(), question()
    for asked in (old, young):
        await one.store.complete(asked, end())
    await database.execute(
        "UPDATE outcomes SET changed_at = now() - interval '25h' WHERE call_id = $1", old.call_id
    )
    assert isinstance(one.store, PostgresRecords)
    assert await one.store.purge() == 1
    assert await one.store.look(old) is None
    assert await one.store.look(young) is not None


async def test_the_longest_running_start_and_the_claims_are_counted(fleet: list[Member]) -> None:
    one = fleet[0]
    await one.records.start()
    try:
        sample = one.metrics.registry.get_sample_value
        oldest = "lark_service_outcome_oldest_start_seconds"
        assert sample(oldest) == 0
        claim = await claimed(one, question())
        await one.records.begin(claim)
        begun = time.monotonic()
        while not sample(oldest):
            assert time.monotonic() < begun + 5
        assert sample("lark_service_outcome_claims_total", {"result": "claimed"}) == 1
    finally:
        await one.records.close()
