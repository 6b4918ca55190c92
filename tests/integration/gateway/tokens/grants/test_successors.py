"""Pairs that Redis holds as a second net: found, followed, forgotten."""

from __future__ import annotations

import aiohttp

from gateway.tokens.oauth import OAuth
from gateway.tokens.token import Credential, Holder
from tests.integration.gateway.tokens.conftest import Simulated
from tests.integration.gateway.tokens.grants.support import (
    StartProcess,
    User,
    print_of,
    statistics,
)


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


async def test_a_restored_backup_finds_the_pairs_that_came_after_it(
    start: StartProcess, user: User, feishu: Simulated
) -> None:
    await user.authorize()
    backup, process = await user.row(), await start()
    brought, found = [], []
    for _ in range(3):
        await user.expire()
        brought.append((await process.grants.issue(user.credential, None)).token)
    await user.restore(backup)
    for _ in range(3):
        await user.expire()
        found.append((await process.grants.issue(user.credential, None)).token)
    assert found == brought
    assert (statistics(feishu).refreshed, statistics(feishu).spent_used) == (3, 0)


async def test_pairs_in_redis_are_forgotten_of_one_user_alone(
    start: StartProcess, user: User
) -> None:
    successors, pair = (await start()).successors, await user.authorize()
    other = Credential.of(user.credential.app, Holder("user", f"{user.name}-other"))
    for credential in (user.credential, other):
        await successors.keep(credential, b"first", pair)
        await successors.keep(credential, b"second", pair)
    await successors.forget(user.credential)
    assert await successors.find(user.credential, b"first") is None
    assert await successors.find(user.credential, b"second") is None
    found = await successors.find(other, b"first")
    assert found is not None
    assert found.refresh_token == pair.refresh_token
