"""What is on disk when, and who still has the grant after a crash or an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import pytest
from structlog.testing import capture_logs

from gateway.database import Connection, Database, DatabaseUnavailable
from gateway.errors import AttemptFailed, NotNow, Refused
from gateway.metrics import Metrics
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grants import UserGrants
from gateway.tokens.oauth import OAuth
from tests.integration.gateway.tokens.conftest import KEYS, Simulated
from tests.integration.gateway.tokens.grants.support import (
    LEASE_SECONDS,
    NOBODY,
    StartProcess,
    User,
    fail,
    print_of,
    requests,
    statistics,
)
from tests.support.proxy import Proxy, through
from tests.support.waiting import eventually

T = TypeVar("T")


@pytest.mark.parametrize("fault", [{"wire": "hang", "acts": False}, {"cut": "before"}])
async def test_a_refresh_without_an_answer_is_tried_again_with_the_same_token(
    start: StartProcess, user: User, feishu: Simulated, fault: dict[str, object]
) -> None:
    pair = await user.authorize()
    await user.expire()
    fail(feishu, **fault)
    process = await start()
    with pytest.raises(AttemptFailed):
        await process.grants.issue(user.credential, None)
    row = await user.row()
    assert row["spent_print"] == row["refresh_print"] == print_of(pair)
    await user.set("retry_at = NULL")
    assert user.accepted((await process.grants.issue(user.credential, None)).token)
    assert statistics(feishu).spent_used == 0


async def test_an_answer_that_is_lost_costs_the_user_a_login_and_says_so(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    fail(feishu, cut="after")
    process = await start()
    with pytest.raises(AttemptFailed):
        await process.grants.issue(user.credential, None)
    await user.set("retry_at = NULL")
    with pytest.raises(Refused, match="the answer to an earlier refresh was lost"):
        await process.grants.issue(user.credential, None)
    seen = statistics(feishu)
    assert (seen.refreshed, seen.spent_used) == (1, 1)


async def test_after_a_crash_before_the_request_another_process_goes_on(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    crashed, other = await start(), await start()
    grant = await crashed.store.look(user.credential)
    assert grant is not None
    assert await crashed.store.lease(user.credential, grant) == 1
    seen = await other.store.look(user.credential)
    assert seen is not None
    assert 0 < seen.leased <= LEASE_SECONDS
    for stale in (grant, seen):
        assert await other.store.lease(user.credential, stale) is None
    assert (await user.row())["state"] == "refreshing"
    issued = await other.grants.issue(user.credential, None)
    assert user.accepted(issued.token)
    assert (await user.row())["fence"] == 2
    assert (statistics(feishu).refreshed, statistics(feishu).spent_used) == (1, 0)


async def test_a_late_pair_revives_a_grant_that_was_given_up_meanwhile(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    pair = await user.authorize()
    await user.expire()
    stopped, other = await start(redis=NOBODY), await start(redis=NOBODY)
    grant = await stopped.store.look(user.credential)
    assert grant is not None
    await stopped.store.lease(user.credential, grant)
    async with aiohttp.ClientSession() as session:
        late = await OAuth(session).refresh(feishu.app, pair.refresh_token or "")
    with pytest.raises(Refused):
        await other.grants.issue(user.credential, None)
    assert await stopped.store.save(user.credential, grant.refresh_print, late, 5.0)
    issued = await other.grants.issue(user.credential, None)
    assert issued.token == late.access_token


async def test_a_late_pair_takes_no_place_of_a_newer_grant(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    pair = await user.authorize()
    await user.expire()
    process = await start()
    grant = await process.store.look(user.credential)
    assert grant is not None
    await process.store.lease(user.credential, grant)
    async with aiohttp.ClientSession() as session:
        late = await OAuth(session).refresh(feishu.app, pair.refresh_token or "")
    newer = await user.authorize()
    assert not await process.store.save(user.credential, grant.refresh_print, late, 0.0)
    assert (await process.grants.issue(user.credential, None)).token == newer.access_token


class SentAgain(Database):
    """Commits each transaction twice, as when the answer to the first commit is lost."""

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        await super().transaction(work)
        return await super().transaction(work)


async def test_a_commit_whose_answer_is_lost_is_taken_for_what_it_is(
    start: StartProcess, user: User, feishu: Simulated, migrated_url: str
) -> None:
    await user.authorize()
    await user.expire()
    database = SentAgain(migrated_url)
    store = GrantStore(database, KEYS, lease_seconds=LEASE_SECONDS)
    async with aiohttp.ClientSession() as session:
        process = await start()
        grants = UserGrants(store, OAuth(session), process.successors, Metrics())
        issued = await grants.issue(user.credential, None)
        await grants.close()
    await database.close()
    assert user.accepted(issued.token)
    row = await user.row()
    assert (row["state"], row["fence"]) == ("active", 1)
    assert (statistics(feishu).refreshed, statistics(feishu).spent_used) == (1, 0)


async def test_while_postgres_is_away_no_refresh_token_is_spent(
    start: StartProcess, user: User, feishu: Simulated, away: Proxy, migrated_url: str
) -> None:
    await user.authorize()
    await user.expire()
    process = await start(postgres=through(away, migrated_url))
    await process.store.look(user.credential)
    away.hold()
    with pytest.raises(DatabaseUnavailable):
        await process.grants.issue(user.credential, None)
    assert requests(feishu) == 0
    away.release()


async def test_while_postgres_takes_no_writes_no_refresh_token_is_spent(
    start: StartProcess, user: User, feishu: Simulated, migrated_url: str
) -> None:
    await user.authorize()
    await user.expire()
    process = await start(postgres=f"{migrated_url}?default_transaction_read_only=on")
    with pytest.raises(NotNow, match="ReadOnly"):
        await process.grants.issue(user.credential, None)
    assert requests(feishu) == 0


async def test_a_pair_that_cannot_be_written_is_held_until_it_can(
    start: StartProcess, user: User, feishu: Simulated, away: Proxy, migrated_url: str
) -> None:
    pair = await user.authorize()
    await user.expire()
    fail(feishu, delay_ms=300)
    process = await start(postgres=through(away, migrated_url), redis=NOBODY)
    port = away.port
    with capture_logs() as said:
        result = asyncio.ensure_future(process.grants.issue(user.credential, None))
        await eventually(lambda: statistics(feishu).refreshed == 1)
        await away.close()
        await eventually(lambda: any("waits for Postgres" in line["event"] for line in said))
    assert not result.done()
    assert (await user.row())["refresh_print"] == print_of(pair)
    await away.open(port)
    issued = await result
    assert user.accepted(issued.token)
    row = await user.row()
    assert (row["state"], row["refresh_print"] != print_of(pair)) == ("active", True)
    assert (statistics(feishu).refreshed, statistics(feishu).spent_used) == (1, 0)


async def test_whoever_gives_up_leaves_the_refresh_to_its_end(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    fail(feishu, delay_ms=300)
    process = await start()
    caller = asyncio.ensure_future(process.grants.issue(user.credential, None))
    await eventually(lambda: statistics(feishu).refreshed == 1)
    caller.cancel()
    await process.grants.close()
    row = await user.row()
    assert (row["state"], row["lease_until"]) == ("active", None)
    assert statistics(feishu).refreshed == 1
