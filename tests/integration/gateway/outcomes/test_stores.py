"""What every store of outcome records does, in Redis and in Postgres alike."""

from __future__ import annotations

import asyncio

from gateway.outcomes.decision import Found, State
from gateway.outcomes.protocol import Question, Recorded
from gateway.outcomes.store import NOBODY, Begun, Store
from tests.integration.gateway.outcomes.support import K, MakeStore, end, question


async def alive(make_store: MakeStore) -> Store:
    store = make_store()
    await store.beat()
    return store


async def claimed(store: Store, asked: Question) -> str:
    found, epoch = await store.claim(asked, doubtful=False)
    assert found is None
    return epoch


async def found(store: Store, asked: Question) -> Found:
    record = await store.look(asked)
    assert record is not None
    return record


async def test_a_claim_is_found_by_the_others_with_whether_its_owner_lives(
    make_store: MakeStore,
) -> None:
    first, second, asked = await alive(make_store), await alive(make_store), question()
    await claimed(first, asked)
    record, _ = await second.claim(asked, doubtful=False)
    assert record is not None
    assert (record.state, record.owner) == (State.CLAIMED, first.owner)
    assert (record.fingerprint, record.is_current) == (asked.fingerprint, True)
    assert record.owner_lives
    assert 0 <= record.age < 60
    await first.leave()
    assert not (await found(second, asked)).owner_lives


async def test_of_many_that_take_over_one_claim_one_does(make_store: MakeStore) -> None:
    first, asked = await alive(make_store), question()
    epoch = await claimed(first, asked)
    await first.leave()
    others = [await alive(make_store) for _ in range(8)]
    record = await found(others[0], asked)
    taken = await asyncio.gather(
        *(other.take_over(asked, record, doubtful=False) for other in others)
    )
    [winner] = [other for other, epoch in zip(others, taken, strict=True) if epoch is not None]
    assert (await found(first, asked)).owner == winner.owner
    await first.beat()
    assert await first.begin(asked, epoch, careful=False) is Begun.TAKEN
    assert await winner.begin(asked, epoch, careful=False) is Begun.MARKED
    assert (await found(first, asked)).state is State.STARTED


async def test_a_claim_that_was_started_meanwhile_is_not_taken_over(make_store: MakeStore) -> None:
    first, second, asked = await alive(make_store), await alive(make_store), question()
    epoch = await claimed(first, asked)
    record = await found(second, asked)
    assert await first.begin(asked, epoch, careful=False) is Begun.MARKED
    assert await first.begin(asked, epoch, careful=False) is Begun.MARKED, "once more is harmless"
    assert await second.take_over(asked, record, doubtful=False) is None


async def test_a_start_is_marked_where_no_claim_could_be_written(make_store: MakeStore) -> None:
    first, second, asked = await alive(make_store), await alive(make_store), question()
    assert await first.begin(asked, "", careful=False) is Begun.MARKED
    assert await second.begin(asked, "", careful=False) is Begun.TAKEN


async def test_the_first_end_stands(make_store: MakeStore) -> None:
    first, second, asked = await alive(make_store), await alive(make_store), question()
    await claimed(first, asked)
    large = Recorded(b'"' + b"wide " * 50_000 + b'"', b'{"type":"feishu_error"}', 3, "other")
    assert await second.complete(asked, large) == large
    assert await first.complete(asked, end("late")) == large
    record = await found(first, asked)
    assert (record.state, record.recorded) == (State.RECORDED, large)


async def test_an_end_is_recorded_where_no_claim_is(make_store: MakeStore) -> None:
    store, asked = await alive(make_store), question()
    assert await store.complete(asked, end()) == end()
    assert (await found(store, asked)).recorded == end()


async def test_an_end_leaves_another_content_alone(make_store: MakeStore) -> None:
    store, asked = await alive(make_store), question()
    await claimed(store, asked)
    other = question(asked.call_id, content=b"o")
    assert await store.complete(other, end("other")) == end("other")
    assert (await found(store, asked)).state is State.CLAIMED


async def test_a_claim_that_is_handed_back_is_gone_or_leaves_the_content(
    make_store: MakeStore,
) -> None:
    store, gone, kept, aged = await alive(make_store), question(), question(), question(klass=K)
    for asked in (gone, kept, aged):
        await claimed(store, asked)
    await store.hand_back(gone, remember=False, keeps_age=False)
    await store.hand_back(kept, remember=True, keeps_age=False)
    await store.hand_back(aged, remember=True, keeps_age=True)
    assert await store.look(gone) is None
    record = await found(store, kept)
    assert (record.state, record.fingerprint) == (State.CONTENT, kept.fingerprint)
    assert not record.owner_lives
    assert record.age == 0
    assert (await found(store, aged)).age > 0
    assert await store.take_over(kept, record, doubtful=False) is not None
    assert (await found(store, kept)).state is State.CLAIMED


async def test_who_lost_a_claim_cannot_hand_it_back(make_store: MakeStore) -> None:
    first, second, asked = await alive(make_store), await alive(make_store), question()
    await claimed(first, asked)
    record = await found(second, asked)
    await second.take_over(asked, record, doubtful=False)
    for remember in (False, True):
        await first.hand_back(asked, remember=remember, keeps_age=False)
        assert (await found(second, asked)).owner == second.owner


async def test_a_call_in_doubt_is_nobodys(make_store: MakeStore) -> None:
    store, unknown, taken = await alive(make_store), question(), question()
    assert (await store.claim(unknown, doubtful=True)).found is None
    await claimed(store, taken)
    await store.take_over(taken, await found(store, taken), doubtful=True)
    for asked in (unknown, taken):
        record = await found(store, asked)
        assert (record.state, record.owner, record.owner_lives) == (State.STARTED, NOBODY, False)
        assert await store.begin(asked, "", careful=False) is Begun.TAKEN


async def test_calls_of_one_moment_do_not_get_one_anothers_answers(make_store: MakeStore) -> None:
    stores = [await alive(make_store) for _ in range(3)]
    asked = [question(f"many-{number}", content=bytes([number % 250])) for number in range(300)]
    won = await asyncio.gather(
        *(store.claim(one, doubtful=False) for one in asked for store in stores)
    )
    for one, first in zip(asked, range(0, len(won), 3), strict=True):
        records = [written.found for written in won[first : first + 3]]
        assert records.count(None) == 1
        assert {record.fingerprint for record in records if record} == {one.fingerprint}
    ends = [end(one.call_id) for one in asked]
    assert await asyncio.gather(*map(stores[0].complete, asked, ends)) == ends
    records = await asyncio.gather(*map(stores[1].look, asked))
    assert [record and record.recorded for record in records] == ends
