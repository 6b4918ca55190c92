"""A used-up quota stops the fleet, and one call an hour finds out whether it still must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.apps import AppKind
from gateway.codes import meaning_of
from gateway.errors import Refused
from gateway.jobs import Job
from gateway.quota import Quotas
from gateway.redis_client import connect
from gateway.verdict import QuotaUsedUp
from sandbox.stack import Stack
from schemas.reply import ErrorType, Outcome
from tests.support.builders import APP, job_of, make_answer
from tests.support.feishu import Clock
from tests.support.services import started

HOUR = 3600.0
KEYS = "{lark:quota}:*"
PROBE = "{lark:quota}:probe:app cli_1"
Start = Callable[..., Awaitable[Quotas]]


def send() -> Job:
    return job_of("POST", "/open-apis/im/v1/messages")


def read() -> Job:
    return job_of("GET", "/open-apis/contact/v3/users/ou_1")


def bulk() -> Job:
    return job_of("POST", "/open-apis/message/v4/batch_send")


def used_up(code: int = 99991403) -> QuotaUsedUp:
    row = meaning_of(code)
    assert row is not None
    return QuotaUsedUp(row, make_answer(429, {"code": code}))


async def an_hour_passes(store: Redis, clock: Clock) -> None:
    """By the clock of the processes, and for what Redis keeps for an hour."""
    clock.turn(HOUR)
    assert await store.delete(PROBE) == 1


async def settled(quotas: Quotas, stopped: bool) -> None:
    """Wait until a process looks and finds it so."""
    async with asyncio.timeout(5):
        while await is_stopped(quotas) is not stopped:  # noqa: ASYNC110  it looks by itself
            await asyncio.sleep(0.01)


async def is_stopped(quotas: Quotas, job: Job | None = None) -> bool:
    return await quotas.refused(job or send()) is not None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def start(redis_url: str, store: Redis, clock: Clock) -> AsyncIterator[Start]:
    """Start what processes know of quotas; they look only when told to, unless given a time."""
    async with AsyncExitStack() as stack:

        async def one(url: str = redis_url, **options: Any) -> Quotas:
            client = await stack.enter_async_context(connect(url))
            quotas = Quotas(client, clock=clock, **{"look_seconds": 600, **options})
            await quotas.start()
            stack.push_async_callback(quotas.close)
            return quotas

        yield one


async def test_a_call_is_let_through_while_nothing_is_stopped(start: Start) -> None:
    quotas, job = await start(), send()
    assert not await is_stopped(quotas, job)
    assert not job.probes


async def test_the_answer_and_the_refusals_after_it_say_when_the_quota_is_renewed(
    start: Start,
) -> None:
    quotas = await start()
    answer = await quotas.exhausted(send(), used_up())
    refusal = await quotas.refused(send())
    assert isinstance(refusal, Refused)
    for error in (answer, refusal):
        assert (error.type, error.outcome) == (ErrorType.QUOTA_EXHAUSTED, Outcome.NOT_EXECUTED)
        assert error.code == 99991403
        assert error.hint is not None
        assert "upgrade" in error.hint
        # The clock of the test stands at 2027-01-15.
        assert "2027-02-01 00:00 (UTC+8)" in error.hint


async def test_other_apps_and_what_is_not_counted_go_on(start: Start) -> None:
    quotas = await start()
    await quotas.exhausted(send(), used_up())
    other = job_of("POST", "/open-apis/im/v1/messages", replace(APP, app_id="cli_2"))
    assert not await is_stopped(quotas, other)
    assert not await is_stopped(quotas, read())
    assert await is_stopped(quotas, bulk())


async def test_the_other_tenants_of_a_store_app_go_on_in_every_process(start: Start) -> None:
    def of(tenant: str) -> Job:
        app = replace(APP, kind=AppKind.STORE)
        return job_of("POST", "/open-apis/im/v1/messages", app, **{"as": {"tenant": tenant}})

    first, second = await start(), await start()
    await first.exhausted(of("t1"), used_up())
    await second.look()
    for quotas in (first, second):
        assert await is_stopped(quotas, of("t1"))
        assert not await is_stopped(quotas, of("t2"))
        assert not await is_stopped(quotas, send())


async def test_a_quota_of_the_day_stops_its_api_until_the_day_ends(
    start: Start, clock: Clock
) -> None:
    quotas = await start()
    await quotas.exhausted(bulk(), used_up(11247))
    assert not await is_stopped(quotas, send())
    refusal = await quotas.refused(bulk())
    assert refusal is not None
    assert "2027-01-16 00:00 (UTC+8)" in (refusal.hint or "")
    clock.turn(24 * HOUR)
    job = bulk()
    assert not await is_stopped(quotas, job)
    assert not job.probes


async def test_every_process_learns_of_a_stop_and_of_its_end_in_the_background(
    start: Start, store: Redis, clock: Clock
) -> None:
    one, other = await start(), await start(look_seconds=0.02)
    await one.exhausted(send(), used_up())
    await settled(other, stopped=True)
    assert await is_stopped(await start())
    await an_hour_passes(store, clock)
    probe = send()
    assert not await is_stopped(one, probe)
    await one.passed(probe)
    await settled(other, stopped=False)


async def test_one_call_an_hour_is_a_probe_for_all_processes(start: Start, clock: Clock) -> None:
    fleet = [await start() for _ in range(3)]
    await fleet[0].exhausted(send(), used_up())
    for quotas in fleet:
        await quotas.look()
    clock.turn(HOUR - 1)
    assert all([await is_stopped(quotas) for quotas in fleet for _ in range(3)])


async def test_of_many_calls_at_the_hour_one_is_sent(
    start: Start, store: Redis, clock: Clock
) -> None:
    fleet = [await start() for _ in range(3)]
    await fleet[0].exhausted(send(), used_up())
    for quotas in fleet:
        await quotas.look()
    clock.turn(HOUR)
    # By Redis's clock no hour has passed: its word counts.
    assert all([await is_stopped(quotas) for quotas in fleet])
    await an_hour_passes(store, clock)
    jobs = [(quotas, send()) for quotas in fleet for _ in range(20)]
    await asyncio.gather(*(quotas.refused(job) for quotas, job in jobs))
    assert [job.probes for _, job in jobs].count(True) == 1
    left = await store.ttl(PROBE)
    assert HOUR - 60 < left <= HOUR


async def test_a_probe_that_is_refused_waits_another_hour(
    start: Start, store: Redis, clock: Clock
) -> None:
    quotas = await start()
    await quotas.exhausted(send(), used_up())
    await an_hour_passes(store, clock)
    probe = send()
    assert not await is_stopped(quotas, probe)
    # It asks again on its way, for a token or after a rate limit.
    assert not await is_stopped(quotas, probe)
    await quotas.exhausted(probe, used_up())
    clock.turn(HOUR - 1)
    assert await is_stopped(quotas)
    await quotas.look()
    assert await is_stopped(quotas)


async def test_a_probe_that_passes_opens_at_once(start: Start, store: Redis, clock: Clock) -> None:
    quotas = await start()
    with capture_logs() as lines:
        await quotas.exhausted(send(), used_up())
        await quotas.exhausted(send(), used_up())
        await an_hour_passes(store, clock)
        probe = send()
        assert not await is_stopped(quotas, probe)
        await quotas.passed(probe)
    assert not await is_stopped(quotas)
    assert not probe.probes
    assert await store.keys(KEYS) == []
    assert [(line["event"], line["of"], line["code"]) for line in lines] == [
        ("quota_exhausted", "app cli_1", 99991403),
        ("quota_back", "app cli_1", 99991403),
    ]


async def test_a_stop_ends_with_its_month_and_so_does_what_redis_keeps_of_it(
    start: Start, store: Redis, clock: Clock
) -> None:
    quotas = await start()
    await quotas.exhausted(send(), used_up())
    until = await store.expiretime("{lark:quota}:stops")
    assert clock() < until < clock() + 31 * 24 * HOUR
    clock.turn(until - clock())
    job = send()
    assert not await is_stopped(quotas, job)
    assert not job.probes
    assert not await is_stopped(await start())


async def test_what_somebody_deletes_is_not_stopped(start: Start, store: Redis) -> None:
    quotas = await start()
    await quotas.exhausted(send(), used_up())
    await store.flushdb()
    await quotas.look()
    assert not await is_stopped(quotas)


@pytest.mark.parametrize("text", [b"", b"x", b"12345 1 2", b"99991403 9999999999"])
async def test_what_cannot_be_read_stops_nothing(start: Start, store: Redis, text: bytes) -> None:
    await store.hset("{lark:quota}:stops", "app cli_1", text)
    assert not await is_stopped(await start())


async def test_without_redis_each_process_goes_by_its_own_memory(
    start: Start, idle_stack: Stack, clock: Clock
) -> None:
    one, other = await start(), await start()
    idle_stack.redis.pause()
    try:
        await one.exhausted(send(), used_up())
        await other.look()
        assert await is_stopped(one)
        assert not await is_stopped(other)
        clock.turn(HOUR)
        jobs = [send() for _ in range(5)]
        await asyncio.gather(*(one.refused(job) for job in jobs))
        assert [job.probes for job in jobs].count(True) == 1
    finally:
        idle_stack.redis.resume()
        started(idle_stack, "redis")
    await one.look()
    await other.look()
    assert await is_stopped(one)
    assert await is_stopped(other)


async def test_who_was_told_of_a_stop_probes_no_sooner_without_redis(
    start: Start, idle_stack: Stack, clock: Clock
) -> None:
    one, other = await start(), await start()
    await one.exhausted(send(), used_up())
    await other.look()
    idle_stack.redis.pause()
    try:
        clock.turn(HOUR - 1)
        assert await is_stopped(other)
        clock.turn(1)
        assert not await is_stopped(other)
    finally:
        idle_stack.redis.resume()
        started(idle_stack, "redis")


async def test_what_is_learnt_during_a_look_outlasts_it(start: Start) -> None:
    quotas = await start()
    await asyncio.gather(quotas.look(), quotas.look())
    await asyncio.gather(quotas.look(), quotas.exhausted(send(), used_up()))
    assert await is_stopped(quotas)


async def test_an_end_that_redis_did_not_hear_of_is_told_later(
    start: Start, idle_stack: Stack, clock: Clock
) -> None:
    one, other = await start(), await start()
    await one.exhausted(send(), used_up())
    await other.look()
    clock.turn(HOUR)
    idle_stack.redis.pause()
    try:
        probe = send()
        assert not await is_stopped(one, probe)
        await one.passed(probe)
        assert not await is_stopped(one)
    finally:
        idle_stack.redis.resume()
        started(idle_stack, "redis")
    await one.look()
    await other.look()
    assert not await is_stopped(one)
    assert not await is_stopped(other)
