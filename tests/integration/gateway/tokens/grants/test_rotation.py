"""Who refreshes a grant, how often, and when the user must authorize again."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from gateway.apps import Apps
from gateway.crypto import KeyRing
from gateway.errors import GatewayError, NotNow, Refused
from gateway.metrics import Metrics
from gateway.tokens.grant_keeper import GrantKeeper
from gateway.tokens.grant_rows import Grant
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grants import UserGrants
from gateway.tokens.oauth import OAuth
from gateway.tokens.token import Credential
from schemas.reply import ErrorType
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
        with pytest.raises(GatewayError) as caught:
            await process.grants.issue(user.credential, None)
        assert caught.value.type is ErrorType.FEISHU_UNAVAILABLE
        # Only who asked spent an attempt on it; the others wait for the next.
        assert isinstance(caught.value, NotNow) is (process is not processes[0])
    assert requests(feishu) == 1
    row = await user.row()
    # Feishu said so itself: the refresh token is not spent.
    assert (row["state"], row["spent_print"], row["failures"]) == ("active", None, 1)
    feishu.server.world.script.rules.clear()
    await user.set("retry_at = NULL")
    assert user.accepted((await processes[1].grants.issue(user.credential, None)).token)


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


class StoodStill(GrantStore):
    """The store of a process that is stopped once it has a lease, until the lease has run out."""

    leased: asyncio.Event
    goes_on: asyncio.Event

    async def lease(self, credential: Credential, grant: Grant) -> int | None:
        fence = await super().lease(credential, grant)
        self.leased.set()
        await self.goes_on.wait()
        return fence


async def test_a_process_that_stood_still_past_its_lease_sends_nothing(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    await user.expire()
    other = await start(redis=NOBODY)
    store = StoodStill(other.database, KEYS, lease_seconds=LEASE_SECONDS)
    store.leased, store.goes_on = asyncio.Event(), asyncio.Event()
    async with aiohttp.ClientSession() as session:
        parts = (store, OAuth(session), other.successors, Metrics())
        stopped = UserGrants(*parts, lease_seconds=LEASE_SECONDS)
        late = asyncio.ensure_future(stopped.issue(user.credential, None))
        await store.leased.wait()
        issued = await other.grants.issue(user.credential, None)
        store.goes_on.set()
        assert (await late).token == issued.token
        await stopped.close()
    assert (statistics(feishu).refreshed, statistics(feishu).spent_used) == (1, 0)
