"""Redis, Postgres or both cut off from one process or from all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from gateway.database import Database
from gateway.errors import NotNow
from gateway.outcomes.protocol import Claim, InDoubt, Running
from gateway.redis_client import connect
from schemas.reply import ErrorType
from tests.integration.gateway.outcomes.support import K, Member, end, member, question
from tests.support.proxy import Proxy, proxied


@dataclass(slots=True)
class Cuttable:
    """A process and the two wires that it has."""

    member: Member
    redis: Proxy
    postgres: Proxy
    redis_url: str
    """By the wire that can be cut."""
    database: Database

    async def claim(self, **changes: object) -> Claim:
        answer = await self.member.records.claim(question(**changes))  # type: ignore[arg-type]
        assert isinstance(answer, Claim), answer
        return answer


@pytest.fixture
async def both(
    redis_url: str, migrated_url: str, redis: Redis
) -> AsyncIterator[tuple[Cuttable, Member]]:
    """A process whose wires can be cut, and one that nothing happens to."""
    async with AsyncExitStack() as stack:
        wires, urls = [], []
        for url in (redis_url, migrated_url):
            port = urlsplit(url).port
            assert port is not None
            proxy = await stack.enter_async_context(proxied("127.0.0.1", port))
            wires.append(proxy)
            urls.append(url.replace(f":{port}/", f":{proxy.port}/"))
        client = await stack.enter_async_context(connect(urls[0]))
        databases = [Database(urls[1]), Database(migrated_url)]
        for database in databases:
            stack.push_async_callback(database.close)
        cut = Cuttable(
            member=member("redis", client, databases[0]),
            redis=wires[0],
            postgres=wires[1],
            redis_url=urls[0],
            database=databases[0],
        )
        whole = member("redis", redis, databases[1])
        await cut.member.keeper.beat()
        await whole.keeper.beat()
        yield cut, whole


async def test_a_keyed_call_goes_on_and_its_end_is_written_later(
    both: tuple[Cuttable, Member],
) -> None:
    cut, whole = both
    asked = question(klass=K)
    claim = await cut.claim(call_id=asked.call_id, klass=K)
    port = cut.redis.port
    await cut.redis.close()
    assert await cut.member.records.complete(claim, end()) == end()
    unwritten = await cut.claim(klass=K)
    assert not unwritten.written
    await cut.member.records.begin(unwritten)
    assert await cut.member.records.complete(unwritten, end("too")) == end("too")
    assert await cut.member.records.claim(unwritten.question) == end("too")
    assert cut.member.keeper.writer.unwritten == 2
    await cut.redis.open(port)
    await cut.member.keeper.beat()
    assert cut.member.keeper.writer.unwritten == 0
    assert await whole.records.claim(asked) == end()
    assert await whole.records.claim(unwritten.question) == end("too")


async def test_a_call_handed_back_while_redis_is_away_can_be_claimed(
    both: tuple[Cuttable, Member],
) -> None:
    cut, whole = both
    claim = await cut.claim()
    port = cut.redis.port
    await cut.redis.close()
    await cut.member.records.hand_back(claim, remember=False)
    await cut.redis.open(port)
    await cut.member.keeper.beat()
    assert isinstance(await whole.records.claim(claim.question), Claim)


async def test_what_was_handed_back_meanwhile_does_not_end_a_later_claim(
    both: tuple[Cuttable, Member],
) -> None:
    cut, whole = both
    claim = await cut.claim()
    port = cut.redis.port
    await cut.redis.close()
    await cut.member.records.hand_back(claim, remember=False)
    later = await cut.claim(call_id=claim.question.call_id)
    await cut.redis.open(port)
    await cut.member.keeper.beat()
    assert isinstance(await whole.records.claim(claim.question), Running)
    await cut.member.records.begin(later)


async def test_who_is_cut_off_marks_its_start_where_who_takes_over_looks(
    both: tuple[Cuttable, Member],
) -> None:
    cut, whole = both
    claim = await cut.claim()
    await cut.member.store.leave()
    await cut.redis.close()
    await cut.member.records.begin(claim)
    again = question(claim.question.call_id, redelivered=True)
    assert isinstance(await whole.records.claim(again), Running)
    assert cut.member.arbiter is not None
    await cut.member.arbiter.leave()
    assert isinstance(await whole.records.claim(again), InDoubt)


async def test_who_was_taken_over_cannot_start_without_redis(both: tuple[Cuttable, Member]) -> None:
    cut, whole = both
    claim = await cut.claim()
    await cut.member.store.leave()
    taken = await whole.records.claim(question(claim.question.call_id, redelivered=True))
    assert isinstance(taken, Claim)
    await cut.redis.close()
    with pytest.raises(NotNow) as lost:
        await cut.member.records.begin(claim)
    assert lost.value.retry_after == 0
    assert isinstance(await cut.member.records.claim(claim.question), Running)
    await whole.records.begin(taken)


async def test_nobody_takes_over_what_cannot_be_asked_of_postgres(
    both: tuple[Cuttable, Member],
) -> None:
    cut, whole = both
    answer = await whole.records.claim(question("taken over without postgres"))
    assert isinstance(answer, Claim)
    await whole.store.leave()
    await cut.postgres.close()
    again = question("taken over without postgres", redelivered=True)
    assert isinstance(await cut.member.records.claim(again), InDoubt)


async def test_with_both_away_a_claim_that_is_written_is_not_started(
    both: tuple[Cuttable, Member],
) -> None:
    cut, _ = both
    written = await cut.claim()
    await cut.redis.close()
    await cut.postgres.close()
    for _ in range(2):
        with pytest.raises(NotNow) as nowhere:
            await cut.member.records.begin(written)
        assert nowhere.value.type is ErrorType.STORE_UNAVAILABLE
        assert nowhere.value.retry_after == 1
    unwritten = await cut.claim()
    assert not unwritten.written
    await cut.member.records.begin(unwritten)
    doubt = await cut.member.records.claim(question(redelivered=True))
    assert isinstance(doubt, InDoubt)


async def test_postgres_tells_duplicates_apart_while_redis_is_away_for_all(
    both: tuple[Cuttable, Member], database: Database
) -> None:
    cut, _ = both
    nowhere = connect(cut.redis_url)
    await cut.redis.close()
    other = member("redis", nowhere, database)
    claim = await cut.claim()
    assert claim.written
    assert isinstance(await other.records.claim(claim.question), Running)
    await cut.member.records.begin(claim)
    await cut.member.records.complete(claim, end())
    await cut.member.keeper.writer.close()
    assert await other.records.claim(claim.question) == end()


async def test_a_store_that_hangs_costs_one_wait_and_then_nothing(
    both: tuple[Cuttable, Member], database: Database
) -> None:
    cut, _ = both
    async with connect(cut.redis_url) as client:
        quick = member("redis", client, database, timeout=0.1)
        await quick.keeper.beat()
        cut.redis.hold()
        claims = [await quick.records.claim(question(klass=K)) for _ in range(50)]
        # Who waited may have been heard; the others asked nobody.
        written = [isinstance(claim, Claim) and claim.written for claim in claims]
        assert written == [True] + [False] * 49
        cut.redis.release()


async def test_a_redis_that_is_full_still_tells_what_it_has(
    both: tuple[Cuttable, Member], redis: Redis
) -> None:
    cut, whole = both
    claim = await cut.claim()
    await cut.member.records.complete(claim, end())
    await redis.config_set("maxmemory", "1")
    try:
        keyed = await whole.records.claim(question(klass=K))
        assert isinstance(keyed, Claim)
        assert await whole.records.claim(claim.question) == end()
        await whole.keeper.beat()
        assert await whole.records.claim(claim.question) == end()
        once = await whole.records.claim(question())
        assert isinstance(once, Claim)
        await whole.records.begin(once)
        assert await whole.records.complete(once, end("kept")) == end("kept")
        assert whole.keeper.writer.unwritten == 1
    finally:
        await redis.config_set("maxmemory", "0")
    await whole.keeper.beat()
    assert await cut.member.records.claim(once.question) == end("kept")


async def test_in_postgres_alone_a_call_that_may_be_sent_once_waits_for_it(
    both: tuple[Cuttable, Member], redis: Redis
) -> None:
    cut, _ = both
    durable = member("postgres", redis, cut.database)
    port = cut.postgres.port
    await cut.postgres.close()
    claim = await durable.records.claim(question())
    keyed = await durable.records.claim(question(klass=K))
    assert isinstance(claim, Claim)
    assert isinstance(keyed, Claim)
    with pytest.raises(NotNow) as nowhere:
        await durable.records.begin(claim)
    assert nowhere.value.retry_after == 1
    assert await durable.records.complete(keyed, end()) == end()
    await cut.postgres.open(port)
    async with asyncio.timeout(20):
        while durable.keeper.writer.unwritten:
            await durable.keeper.beat()
    await durable.records.begin(claim)
