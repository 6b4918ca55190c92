from __future__ import annotations

import asyncio
import time

import pytest

from gateway.errors import AttemptFailed, Expired, GatewayError, NotNow, Refused
from schemas.reply import ErrorType
from tests.support.waiting import eventually

from .conftest import Simulated, StartProcess, many_calls

NO_REDIS = "redis://127.0.0.1:1/0"


async def test_200_cold_calls_cost_one_token_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.server.world.latency_ms = 50
    tokens = await asyncio.gather(*(process.pool.get(feishu.app) for _ in range(200)))
    assert len({token.value for token in tokens}) == 1
    assert feishu.accepts(tokens[0].value)
    assert feishu.token_requests == 1


async def test_a_warm_token_is_answered_without_giving_up_the_loop(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    token = await process.pool.get(feishu.app)
    coroutine = process.pool.get(feishu.app)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value is token


async def test_a_waiter_that_gives_up_leaves_the_request_to_the_others(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.server.world.latency_ms = 300
    first = asyncio.create_task(process.pool.get(feishu.app))
    await eventually(lambda: feishu.token_requests == 1)
    second = asyncio.create_task(process.pool.get(feishu.app))
    await asyncio.sleep(0)
    first.cancel()
    assert feishu.accepts((await second).value)
    assert first.cancelled()
    assert feishu.token_requests == 1


async def test_a_caller_waits_no_longer_than_its_own_deadline(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.server.world.latency_ms = 700
    started = time.monotonic()
    with pytest.raises(Expired):
        await process.pool.get(feishu.app, timeout=0.2)
    assert time.monotonic() - started < 0.5
    await process.pool.get(feishu.app)
    assert feishu.token_requests == 1


async def test_a_token_revoked_amid_calls_costs_one_request(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    await process.pool.get(feishu.app)
    feishu.server.world.latency_ms = 20
    calls = asyncio.create_task(many_calls([process], feishu, 60))
    await asyncio.sleep(0.05)
    assert feishu.server.world.tokens.revoke() == 1
    await calls
    assert feishu.token_requests == 2
    assert process.metrics.token_invalidations.labels("default")._value.get() == 1


async def test_a_late_rejection_of_the_older_token_keeps_the_newer_one(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    old = await process.pool.get(feishu.app)
    feishu.server.world.tokens.revoke()
    await process.pool.rejected(old)
    new = await process.pool.get(feishu.app)
    await process.pool.rejected(old)
    assert (await process.pool.get(feishu.app)) is new
    assert (await process.redis.look(feishu.credential)).token == new
    assert feishu.token_requests == 2


async def test_the_same_string_after_a_rejection_is_returned_and_not_asked_for_again(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    token = await process.pool.get(feishu.app)
    for _ in range(20):
        await process.pool.rejected(token)
        assert await process.pool.get(feishu.app) == token
    assert feishu.token_requests == 2


@pytest.mark.parametrize("redis_answers", [True, False])
async def test_100_calls_with_a_wrong_secret_cost_one_token_request(
    feishu: Simulated, start_process: StartProcess, redis_answers: bool
) -> None:
    process = await (start_process() if redis_answers else start_process(redis=NO_REDIS))

    async def refused() -> Refused:
        with pytest.raises(Refused) as caught:
            await process.pool.get(feishu.wrong_app)
        return caught.value

    started = time.monotonic()
    errors = await asyncio.gather(*(refused() for _ in range(50)))
    errors += [await refused() for _ in range(50)]
    assert time.monotonic() - started < 2
    assert {error.type for error in errors} == {ErrorType.CREDENTIALS_INVALID}
    assert len({id(error) for error in errors}) == 100
    assert feishu.token_requests == 1


async def test_the_right_secret_works_while_the_wrong_one_is_still_refused(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    with pytest.raises(Refused):
        await process.pool.get(feishu.wrong_app)
    assert feishu.accepts((await process.pool.get(feishu.app)).value)


async def test_a_hiccup_of_feishu_is_not_seen_by_callers(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.fail(cut="before")
    feishu.fail(status=502, body="bad gateway")
    assert feishu.accepts((await process.pool.get(feishu.app)).value)
    assert feishu.token_requests == 3


async def test_an_outage_is_answered_at_once_and_ends_by_itself(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.fail(status=503, count=3)
    with pytest.raises(AttemptFailed):
        await process.pool.get(feishu.app)
    with pytest.raises(AttemptFailed) as caught:
        await process.pool.get(feishu.app)
    assert caught.value.type is ErrorType.FEISHU_UNAVAILABLE
    assert feishu.token_requests == 3
    deadline = time.monotonic() + 3
    while True:
        try:
            await process.pool.get(feishu.app)
            break
        except GatewayError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    assert feishu.token_requests == 4


async def test_a_rate_limit_of_the_token_endpoint_is_no_attempt(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.fail(status=429, code=99991400, headers={"x-ogw-ratelimit-reset": "7"}, count=9)
    for _ in range(5):
        with pytest.raises(NotNow) as caught:
            await process.pool.get(feishu.app)
        assert caught.value.retry_after == 7
    assert feishu.token_requests == 1


async def test_a_token_is_renewed_behind_the_callers_while_it_lives(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.server.world.tokens.life = 3
    first = await process.pool.get(feishu.app)
    feishu.server.world.latency_ms = 400
    slowest, seen = 0.0, {first.value}
    while time.monotonic() < first.expires_at + 1:
        started = time.monotonic()
        token = await process.pool.get(feishu.app)
        slowest = max(slowest, time.monotonic() - started)
        assert feishu.accepts(token.value)
        seen.add(token.value)
        await asyncio.sleep(0.005)
    assert slowest < 0.3
    # The last request may still be under way.
    assert 2 <= len(seen) <= feishu.token_requests <= min(9, len(seen) + 1)


@pytest.mark.parametrize("redis_answers", [True, False])
async def test_a_failed_renewal_leaves_the_old_token_in_use_to_its_end(
    feishu: Simulated, start_process: StartProcess, redis_answers: bool
) -> None:
    process = await (start_process() if redis_answers else start_process(redis=NO_REDIS))
    feishu.server.world.tokens.life = 3
    token = await process.pool.get(feishu.app)
    feishu.fail(code=10014, count=1000)
    while time.monotonic() < token.usable_until - 0.1:
        assert await process.pool.get(feishu.app) == token
        await asyncio.sleep(0.005)
    assert 2 <= feishu.token_requests < 20
    await asyncio.sleep(max(0.0, token.usable_until - time.monotonic()) + 0.01)
    with pytest.raises(Refused):
        await process.pool.get(feishu.app)


async def test_no_call_gets_a_token_that_is_at_its_end(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.fail(body='{"code": 0, "tenant_access_token": "t-x", "expire": 1}', status=200)
    token = await process.pool.get(feishu.app)
    await asyncio.sleep(max(0.0, token.usable_until - time.monotonic()) + 0.01)
    assert (await process.pool.get(feishu.app)).value != "t-x"


async def test_a_pool_that_closes_ends_what_it_fetches(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    feishu.server.world.latency_ms = 5000
    waiting = asyncio.create_task(process.pool.get(feishu.app))
    await eventually(lambda: feishu.token_requests == 1)
    started = time.monotonic()
    await process.pool.close()
    assert time.monotonic() - started < 2
    await asyncio.wait([waiting])
    assert waiting.cancelled()
