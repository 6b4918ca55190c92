"""An operator's word renews a token: once for all who say it, and for every process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from gateway.errors import GatewayError, NotNow, Refused
from gateway.tokens.forced import JOIN_SECONDS, MOST_A_MINUTE, ForcedRenewals
from gateway.tokens.issuer import Issuer
from gateway.tokens.postgres_tokens import PostgresTokens
from gateway.tokens.redis_tokens import RedisTokens
from schemas.reply import ErrorType

from .conftest import KEYS, Process, Simulated, StartProcess, opened

NOWHERE = "redis://127.0.0.1:1/0"

StartRenewals = Callable[..., Awaitable[ForcedRenewals]]


@pytest.fixture
async def start_renewals(redis_url: str, migrated_url: str) -> AsyncIterator[StartRenewals]:
    """What one command has of its own, by default on the shared Redis and Postgres."""
    async with AsyncExitStack() as stack:

        async def start(*, redis: str = redis_url, join: float = JOIN_SECONDS) -> ForcedRenewals:
            open_ = await opened(stack, redis, migrated_url, awake=redis == redis_url)
            stores = RedisTokens(open_.redis, KEYS), PostgresTokens(open_.database, KEYS)
            source = Issuer(open_.session)
            return ForcedRenewals(source, open_.redis, *stores, join_seconds=join)

        yield start


async def in_use(process: Process, feishu: Simulated, value: str) -> None:
    """Wait until the process attaches this token to calls."""
    for _ in range(1000):
        if (await process.pool.get(feishu.app)).value == value:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the process never took the new token up")


async def test_feishu_is_asked_though_the_token_lives_and_may_give_the_same_again(
    feishu: Simulated, start_process: StartProcess, start_renewals: StartRenewals
) -> None:
    process, renewals = await start_process(), await start_renewals(join=0)
    token = await process.pool.get(feishu.app)

    renewed = await renewals.renew(feishu.credential)

    assert renewed.is_unchanged
    assert renewed.token == renewed.before == token
    assert renewed.age is None
    assert feishu.token_requests == 2


async def test_every_process_takes_up_a_new_token(
    feishu: Simulated, start_process: StartProcess, start_renewals: StartRenewals
) -> None:
    processes = [await start_process() for _ in range(2)]
    for process in processes:
        process.pool.start()
        await process.pool.get(feishu.app)
    feishu.server.world.tokens.renew_below = 10_000

    renewed = await (await start_renewals(join=0)).renew(feishu.credential)

    assert not renewed.is_unchanged
    for process in processes:
        await in_use(process, feishu, renewed.token.value)
        assert (await process.postgres.look(feishu.credential)).token == renewed.token
    assert feishu.token_requests == 2


async def test_ten_at_once_cost_one_request(
    feishu: Simulated, start_renewals: StartRenewals
) -> None:
    several = [await start_renewals() for _ in range(10)]
    feishu.server.world.latency_ms = 200

    done = await asyncio.gather(*(one.renew(feishu.credential) for one in several))

    assert feishu.token_requests == 1
    assert len({renewed.token.value for renewed in done}) == 1
    assert [renewed.age is None for renewed in done].count(True) == 1


async def test_the_eleventh_within_a_minute_is_refused_and_told_when(
    feishu: Simulated, start_renewals: StartRenewals
) -> None:
    renewals = await start_renewals()
    for _ in range(MOST_A_MINUTE):
        await renewals.renew(feishu.credential)

    with pytest.raises(NotNow, match=r"10 renewals .* within a minute") as error:
        await renewals.renew(feishu.credential)

    assert error.value.type is ErrorType.RATE_LIMITED
    assert 0 < (error.value.retry_after or 0) <= 60
    assert feishu.token_requests == 1


async def test_without_redis_postgres_gives_the_turn(
    feishu: Simulated, start_renewals: StartRenewals
) -> None:
    several = [await start_renewals(redis=NOWHERE) for _ in range(4)]
    feishu.server.world.latency_ms = 100

    done = await asyncio.gather(*(one.renew(feishu.credential) for one in several))

    assert feishu.token_requests == 1
    assert len({renewed.token.value for renewed in done}) == 1


async def test_whoever_waits_for_a_refusal_is_told_the_same(
    feishu: Simulated, start_renewals: StartRenewals
) -> None:
    several = [await start_renewals() for _ in range(5)]
    feishu.server.world.latency_ms = 300
    feishu.fail(status=200, code=10014, count=100)

    done = await asyncio.gather(
        *(one.renew(feishu.credential) for one in several), return_exceptions=True
    )

    assert all(isinstance(error, Refused) for error in done)
    assert {error.code for error in done if isinstance(error, GatewayError)} == {10014}
    assert feishu.token_requests <= 2
