"""App tickets: kept, waited for, asked for again, and never shown."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp
import pytest
from structlog.testing import capture_logs

from gateway import redis_client
from gateway.database import Database, DatabaseUnavailable
from gateway.errors import NotNow, Refused
from gateway.tokens.endpoint import TokenEndpoint
from gateway.tokens.resends import PAUSE_SECONDS, Resends
from gateway.tokens.store_apps import TICKET_SECONDS, StoreApps
from gateway.tokens.tickets import AppTickets
from gateway.tokens.token import APP, Credential
from sandbox.feishu import DEFAULT_SECRET
from sandbox.feishu.tokens import RESEND_TICKET, STORE_APP_TOKEN
from schemas.reply import ErrorType
from tests.support.feishu import Clock

from .conftest import KEYS, Shop, StartProcess
from .shops import ONE, OTHER, failure, got, store_ticket, with_ticket

NO_REDIS = "redis://127.0.0.1:1/0"


def place_of(shop: Shop) -> str:
    """Where Redis has what the fleet knows of the app's own token."""
    return f"lark:token:{{{Credential.of(shop.app, APP).key.hex()}}}"


async def test_without_a_ticket_calls_wait_and_the_fleet_asks_for_one_once(
    shop: Shop, start_process: StartProcess
) -> None:
    first, second = await start_process(), await start_process()
    failures = [
        await failure(process, shop.app, holder)
        for process in (first, second)
        for holder in (ONE, OTHER, APP)
    ]
    for error in failures:
        assert isinstance(error, NotNow)
        assert error.type is ErrorType.STORE_UNAVAILABLE
        assert error.retry_after is not None
        assert 0 < error.retry_after <= TICKET_SECONDS
        assert f"lark-service app set-ticket {shop.app.alias}" in (error.hint or "")
    assert "there is none" in failures[0].message
    assert shop.asked(RESEND_TICKET) == 1
    assert shop.asked(STORE_APP_TOKEN) == 0
    await store_ticket(first, shop)
    await asyncio.gather(*(got(process, shop.app) for process in (first, second)))
    assert shop.asked(RESEND_TICKET) == 1


async def test_a_refused_ticket_is_shown_to_feishu_once_a_minute(
    shop: Shop, start_process: StartProcess, redis_url: str
) -> None:
    process, clock = await with_ticket(shop, start_process), Clock()
    shop.push()
    async with aiohttp.ClientSession() as session, redis_client.connect(redis_url) as redis:
        endpoint = TokenEndpoint(session)
        tickets = AppTickets(process.database, KEYS)
        source = StoreApps(
            endpoint, tickets, Resends(endpoint, redis), lambda: process.pool, clock=clock
        )
        own = Credential.of(shop.app, APP)
        for asked in (1, 1, 2):
            with pytest.raises(NotNow, match="refuses the one that is stored") as caught:
                await source.issue(own, None)
            assert caught.value.type is ErrorType.STORE_UNAVAILABLE
            assert shop.asked(STORE_APP_TOKEN) == asked
            clock.turn(PAUSE_SECONDS / 2)
        assert shop.asked(RESEND_TICKET) == 1
        await store_ticket(process, shop)
        assert (await source.issue(own, None)).token


async def test_the_refusal_of_a_ticket_can_be_looked_up(
    shop: Shop, start_process: StartProcess
) -> None:
    process = await with_ticket(shop, start_process)
    shop.push()
    error = await failure(process, shop.app)
    assert (error.type, error.code) == (ErrorType.STORE_UNAVAILABLE, 10012)
    assert error.log_id


async def test_a_self_built_app_that_is_called_a_store_app_is_told_to_everyone(
    shop: Shop, start_process: StartProcess
) -> None:
    del shop.server.world.tickets.apps[shop.app.app_id]
    for process in (await start_process(), await start_process()):
        error = await failure(process, shop.app)
        assert isinstance(error, Refused)
        assert error.code == 10016
        assert "store apps" in (error.hint or "")
    assert shop.asked(RESEND_TICKET) == 1


async def test_what_feishu_refused_stands_longer_than_the_pool_remembers(
    shop: Shop, start_process: StartProcess, redis_url: str
) -> None:
    del shop.server.world.tickets.apps[shop.app.app_id]
    first, second = await start_process(), await start_process()
    await failure(first, shop.app, APP)
    redis = redis_client.connect(redis_url)
    await redis.delete(f"{place_of(shop)}:failure")
    await redis.aclose()
    assert (await failure(second, shop.app, APP)).code == 10016
    assert shop.asked(RESEND_TICKET) == 1


@pytest.mark.parametrize("shared", [True, False])
async def test_a_ticket_is_asked_for_once_a_minute_by_the_fleet_or_each_process_without_redis(
    shop: Shop, redis_url: str, shared: bool
) -> None:
    clock = Clock()
    async with aiohttp.ClientSession() as session:
        redis = redis_client.connect(redis_url if shared else NO_REDIS)
        fleet = [Resends(TokenEndpoint(session), redis, clock=clock) for _ in range(2)]
        for resends in fleet * 2:
            await resends.ask(shop.app)
        assert shop.asked(RESEND_TICKET) == (1 if shared else 2)
        clock.turn(PAUSE_SECONDS)
        if shared:
            await redis.delete(f"{place_of(shop)}:resend")
        for resends in fleet * 2:
            await resends.ask(shop.app)
        assert shop.asked(RESEND_TICKET) == (2 if shared else 4)
        await redis.aclose()


async def test_a_ticket_that_cannot_be_asked_for_now_is_no_failure_of_the_call(
    shop: Shop, redis_url: str
) -> None:
    shop.fail(RESEND_TICKET, 2200, 3)
    clock, redis = Clock(), redis_client.connect(redis_url)
    async with aiohttp.ClientSession() as session:
        resends = Resends(TokenEndpoint(session), redis, clock=clock)
        await resends.ask(shop.app)
    await redis.aclose()
    assert shop.asked(RESEND_TICKET) == 3
    assert not shop.ticket


async def test_a_ticket_is_of_the_app_that_it_was_pushed_for(
    shop: Shop, start_process: StartProcess
) -> None:
    process = await with_ticket(shop, start_process)
    tickets = AppTickets(process.database, KEYS)
    assert await tickets.get(shop.app)
    assert await tickets.get(replace(shop.app, app_id="cli_another")) is None
    assert await tickets.get(replace(shop.app, alias="another")) is None


async def test_a_ticket_that_was_read_once_outlives_postgres(shop: Shop, migrated_url: str) -> None:
    database = Database(migrated_url)
    tickets, cold = AppTickets(database, KEYS), AppTickets(database, KEYS)
    await tickets.put(shop.app, "ticket-1")
    assert await tickets.get(shop.app) == "ticket-1"
    await tickets.put(shop.app, "ticket-2")
    assert await tickets.get(shop.app) == "ticket-2"
    await database.close()
    assert await tickets.get(shop.app) == "ticket-2"
    with pytest.raises(DatabaseUnavailable):
        await cold.get(shop.app)


async def test_no_ticket_and_no_secret_shows_in_postgres_in_logs_or_in_errors(
    shop: Shop, start_process: StartProcess, migrated_url: str
) -> None:
    with capture_logs() as logs:
        process = await with_ticket(shop, start_process)
        ticket = shop.ticket
        shop.push()
        error = await failure(process, shop.app)
    database = Database(migrated_url)
    row = await database.fetchrow("SELECT * FROM app_tickets WHERE alias = $1", shop.app.alias)
    await database.close()
    assert row is not None
    assert ticket.encode() not in bytes(row["sealed"])
    shown = f"{logs} {error!r} {error.hint} {error.__context__!r} {error.__cause__!r}"
    for secret in (ticket, DEFAULT_SECRET):
        assert secret not in shown
