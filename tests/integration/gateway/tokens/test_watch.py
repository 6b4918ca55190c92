"""What processes learn of each other's tokens, and what becomes of ended ones."""

from __future__ import annotations

import time

from gateway.tokens.token import Credential, Token
from tests.support.waiting import eventually

from .conftest import Process, Simulated, StartProcess


def hits(process: Process, layer: str) -> float:
    return process.metrics.token_cache_hits.labels(layer)._value.get()


def misses(process: Process, layer: str) -> float:
    return process.metrics.token_cache_misses.labels(layer)._value.get()


async def test_a_token_that_one_process_drops_is_forgotten_by_the_others(
    feishu: Simulated, start_process: StartProcess
) -> None:
    first, second = await start_process(), await start_process()
    second.pool.start()
    old = await first.pool.get(feishu.app)
    assert await second.pool.get(feishu.app) == old
    feishu.server.world.tokens.revoke()
    await first.pool.rejected(old)
    new = await first.pool.get(feishu.app)
    assert new != old
    await eventually(lambda: not second.pool._memory.held)
    assert await second.pool.get(feishu.app) == new
    assert feishu.token_requests == 2


async def test_a_drop_is_taken_note_of_once(feishu: Simulated, start_process: StartProcess) -> None:
    first, second = await start_process(), await start_process()
    token = await first.pool.get(feishu.app)
    await second.pool.get(feishu.app)
    await first.postgres.drop(token)
    await second.pool._watch.look()
    assert not second.pool._memory.held
    assert await second.pool.get(feishu.app) == token
    await second.pool._watch.look()
    assert second.pool._memory.held


async def test_what_is_dropped_again_soon_is_forgotten_again(
    feishu: Simulated, start_process: StartProcess
) -> None:
    first, second = await start_process(), await start_process()
    for _ in range(2):
        token = await second.pool.get(feishu.app)
        await first.postgres.drop(token)
        await second.pool._watch.look()
        assert not second.pool._memory.held


async def test_ended_tokens_and_turns_leave_postgres_and_living_ones_stay(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    now = time.monotonic()
    rotated = Credential.of(feishu.wrong_app)
    await process.postgres.put(Token("t-living", feishu.credential, now, now + 7200))
    await process.postgres.put(Token("t-rotated", rotated, now, now + 7200))
    await process.postgres.lock(rotated, "nobody")
    await process.database.execute(
        "UPDATE tokens SET expires_at = now() - interval '2 hours' WHERE credential = $1",
        rotated.key,
    )
    await process.database.execute("UPDATE token_leases SET ends_at = now() - interval '2 hours'")
    assert await process.postgres.prune() == 1
    keys = {row["credential"] for row in await process.database.fetch("SELECT * FROM tokens")}
    assert feishu.credential.key in keys
    assert rotated.key not in keys
    assert await process.database.fetch("SELECT * FROM token_leases") == []


async def test_the_first_look_after_a_while_tidies_up(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    now = time.monotonic()
    await process.postgres.put(Token("t-1", feishu.credential, now, now + 7200))
    await process.database.execute("UPDATE tokens SET expires_at = now() - interval '2 hours'")
    process.pool._memory.hold(Token("t-2", feishu.credential, now - 20, now - 10), 0.5)
    process.pool._watch._tidy_at = now
    await process.pool._watch.look()
    assert await process.database.fetch("SELECT * FROM tokens") == []
    assert not process.pool._memory.held


async def test_hits_and_misses_are_counted_by_layer(
    feishu: Simulated, start_process: StartProcess
) -> None:
    first = await start_process()
    for _ in range(3):
        await first.pool.get(feishu.app)
    await first.pool.close()
    assert [hits(first, layer) for layer in ("memory", "redis", "postgres")] == [2, 0, 0]
    assert [misses(first, layer) for layer in ("memory", "redis", "postgres")] == [1, 1, 1]
    second = await start_process()
    await second.pool.get(feishu.app)
    assert (hits(second, "redis"), misses(second, "postgres")) == (1, 0)
    third = await start_process(redis="redis://127.0.0.1:1/0")
    await third.pool.get(feishu.app)
    assert (hits(third, "postgres"), misses(third, "redis")) == (1, 0)
