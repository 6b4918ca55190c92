"""User grants on real servers: who refreshes, what is on disk when, and who is thrown out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import pytest
from structlog.testing import capture_logs

from gateway import redis_client
from gateway.apps import Apps
from gateway.crypto import KeyRing
from gateway.database import Connection, Database, DatabaseUnavailable
from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from gateway.metrics import Metrics
from gateway.tokens.grant_keeper import GrantKeeper
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grants import UserGrants
from gateway.tokens.oauth import OAuth
from gateway.tokens.successors import Successors
from schemas.reply import ErrorType
from tests.integration.gateway.tokens.conftest import KEYS, Simulated
from tests.integration.gateway.tokens.grants import (
    LEASE_SECONDS,
    Process,
    StartProcess,
    User,
    fail,
    print_of,
    requests,
    statistics,
)
from tests.support.proxy import Proxy, proxied
from tests.support.waiting import eventually

NOBODY = "redis://127.0.0.1:1/0"

T = TypeVar("T")


@pytest.fixture
async def start(redis_url: str, migrated_url: str) -> AsyncIterator[StartProcess]:
    """Starts processes, by default on the shared Redis and Postgres."""
    async with AsyncExitStack() as stack:

        async def begin(
            *,
            redis: str = redis_url,
            postgres: str = migrated_url,
            keys: KeyRing = KEYS,
            lease_seconds: float = LEASE_SECONDS,
            budget: float = 1.0,
        ) -> Process:
            client = redis_client.connect(redis)
            stack.push_async_callback(client.aclose)
            if redis == redis_url:
                await client.ping()
            database = Database(postgres)
            stack.push_async_callback(database.close)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            store = GrantStore(database, keys, lease_seconds=lease_seconds)
            successors = Successors(client, keys)
            grants = UserGrants(
                store,
                OAuth(session, budget=budget),
                successors,
                Metrics(),
                lease_seconds=lease_seconds,
            )
            stack.push_async_callback(grants.close)
            return Process(grants, store, successors, database)

        yield begin


@pytest.fixture
async def user(feishu: Simulated, migrated_url: str) -> AsyncIterator[User]:
    database = Database(migrated_url)
    yield User(feishu, database, f"ou_{secrets.token_hex(8)}")
    await database.close()


@pytest.fixture
async def away(migrated_url: str) -> AsyncIterator[Proxy]:
    """Stands between a process and Postgres."""
    parts = urlsplit(migrated_url)
    async with proxied(parts.hostname or "", parts.port or 5432) as proxy:
        yield proxy


def through(proxy: Proxy, url: str) -> str:
    parts = urlsplit(url)
    place = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
    return parts._replace(netloc=place).geturl()


async def test_a_stored_token_that_lives_is_given_out_without_a_request(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    pair = await user.authorize()
    issued = await (await start()).grants.issue(user.credential, None)
    assert issued.token == pair.access_token
    assert 7100 < issued.expires_in <= 7200
    assert requests(feishu) == 0


async def test_a_token_at_its_end_is_refreshed_and_the_pair_is_on_disk(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    pair = await user.authorize()
    await user.expire()
    process = await start()
    issued = await process.grants.issue(user.credential, None)
    assert user.accepted(issued.token)
    assert issued.token != pair.access_token
    row = await user.row()
    assert (row["state"], row["fence"], row["lease_until"]) == ("active", 1, None)
    assert row["spent_print"] == print_of(pair)
    assert row["refresh_print"] != print_of(pair)
    for name, value in row.items():
        assert issued.token.encode() not in str(value).encode(), name
    assert statistics(feishu).refreshed == 1


async def test_a_held_token_is_renewed_before_its_end(start: StartProcess, user: User) -> None:
    pair = await user.authorize()
    issued = await (await start()).grants.issue(user.credential, user.token(pair.access_token))
    assert issued.token != pair.access_token
    assert user.accepted(issued.token)


async def test_grants_outlive_a_changed_app_secret(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    feishu.server.world.tokens.apps[feishu.app_id] = "another-secret"
    process = await start()
    with pytest.raises(Refused) as caught:
        await process.grants.issue(user.credential, None)
    assert caught.value.type is ErrorType.CREDENTIALS_INVALID
    assert (await user.row())["state"] == "active"
    feishu.server.world.tokens.apps[feishu.app_id] = feishu.app.secret.get_secret_value()
    await user.set("retry_at = NULL")
    assert user.accepted((await process.grants.issue(user.credential, None)).token)


@pytest.mark.parametrize("delay_ms", [0, 300])
async def test_processes_and_callers_that_race_refresh_once(
    start: StartProcess, user: User, feishu: Simulated, delay_ms: int
) -> None:
    fail(feishu, delay_ms=delay_ms)
    processes = [await start() for _ in range(4)]
    pair = await user.authorize()
    held = user.token(pair.access_token)
    issued = await asyncio.gather(
        *(process.grants.issue(user.credential, held) for process in processes for _ in range(8))
    )
    assert len({each.token for each in issued}) == 1
    seen = statistics(feishu)
    assert (seen.refreshed, seen.spent_used, seen.concurrent) == (1, 0, 0)


async def test_a_fresh_token_that_is_rejected_spends_no_refresh_token(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    process = await start()
    fresh = await process.grants.issue(user.credential, None)
    for _ in range(5):
        again = await process.grants.issue(user.credential, user.token(fresh.token))
        assert again.token == fresh.token
    assert statistics(feishu).refreshed == 1


async def test_without_a_grant_the_user_must_authorize(start: StartProcess, user: User) -> None:
    with pytest.raises(Refused, match="no grant of this user is stored") as caught:
        await (await start()).grants.issue(user.credential, None)
    assert caught.value.type is ErrorType.REAUTH_REQUIRED


@pytest.mark.parametrize("code", [20026, 20037, 20064, 20073])
async def test_a_grant_that_is_gone_is_asked_about_once_until_it_is_imported_anew(
    start: StartProcess, user: User, feishu: Simulated, code: int
) -> None:
    await user.authorize()
    await user.expire()
    fail(feishu, status=400, code=code)
    processes = [await start() for _ in range(2)]
    for process in processes * 3:
        with pytest.raises(Refused, match="the grant of this user is gone") as caught:
            await process.grants.issue(user.credential, None)
        assert (caught.value.type, caught.value.code) == (ErrorType.REAUTH_REQUIRED, code)
    assert requests(feishu) == 1
    assert (await user.row())["state"] == "reauth_required"
    pair = await user.authorize()
    assert (await processes[0].grants.issue(user.credential, None)).token == pair.access_token


async def test_what_the_user_took_back_is_gone_at_the_first_rejection(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    pair = await user.authorize()
    feishu.server.world.oauth.revoke(feishu.app_id, user.name)
    with pytest.raises(Refused) as caught:
        await (await start()).grants.issue(user.credential, user.token(pair.access_token))
    assert (caught.value.type, caught.value.code) == (ErrorType.REAUTH_REQUIRED, 20064)


async def test_a_failing_endpoint_is_left_alone_by_all_for_a_moment(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    fail(feishu, status=500, code=20050, count=99)
    processes = [await start() for _ in range(3)]
    for process in processes:
        with pytest.raises(AttemptFailed) as caught:
            await process.grants.issue(user.credential, None)
        assert caught.value.type is ErrorType.FEISHU_UNAVAILABLE
    assert requests(feishu) == 1
    row = await user.row()
    # Feishu said so itself: the refresh token is not spent.
    assert (row["state"], row["spent_print"], row["failures"]) == ("active", None, 1)
    feishu.server.world.script.rules.clear()
    await user.set("retry_at = NULL")
    assert user.accepted((await processes[1].grants.issue(user.credential, None)).token)


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
    assert await other.store.lease(user.credential, grant) is None
    assert (await user.row())["state"] == "refreshing"
    issued = await other.grants.issue(user.credential, None)
    assert user.accepted(issued.token)
    assert (await user.row())["fence"] == 2
    assert (statistics(feishu).refreshed, statistics(feishu).spent_used) == (1, 0)


async def test_a_pair_that_a_killed_process_left_in_redis_is_taken_up(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    pair = await user.authorize()
    await user.expire()
    killed, other = await start(), await start()
    grant = await killed.store.look(user.credential)
    assert grant is not None
    await killed.store.lease(user.credential, grant)
    async with aiohttp.ClientSession() as session:
        lost = await OAuth(session).refresh(feishu.app, pair.refresh_token or "")
    await killed.successors.keep(user.credential, print_of(pair), lost)
    issued = await other.grants.issue(user.credential, None)
    assert issued.token == lost.access_token
    assert (await user.row())["refresh_print"] == print_of(lost)
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


async def test_a_grant_sealed_with_another_key_is_not_given_up(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    stranger = await start(keys=KeyRing([b"x" * 32]))
    with pytest.raises(GatewayError, match="cannot be read") as caught:
        await stranger.grants.issue(user.credential, None)
    assert isinstance(caught.value, NotNow)
    assert requests(feishu) == 0
    assert (await user.row())["state"] == "active"


async def test_a_grant_that_nobody_uses_is_refreshed_before_its_refresh_token_ends(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    process, metrics = await start(), Metrics()
    keeper = GrantKeeper(process.store, process.grants, Apps([feishu.app]), metrics)
    pair = await user.authorize()
    assert await keeper.look() == 0
    await user.soon_at_its_end()
    assert await keeper.look() == 1
    assert (await user.row())["refresh_print"] != print_of(pair)
    assert await keeper.look() == 0
    assert statistics(feishu).refreshed == 1


async def test_a_look_goes_on_after_a_grant_that_is_gone(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    process, metrics = await start(), Metrics()
    other = User(feishu, process.database, f"{user.name}-other")
    for each in (user, other):
        await each.authorize()
        await each.soon_at_its_end()
    feishu.server.world.oauth.revoke(feishu.app_id, user.name)
    keeper = GrantKeeper(process.store, process.grants, Apps([feishu.app]), metrics)
    assert await keeper.look() == 1
    assert (await user.row())["state"] == "reauth_required"
    assert (await other.row())["state"] == "active"
    assert await keeper.look() == 0
