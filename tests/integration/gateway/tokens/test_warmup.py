from __future__ import annotations

from dataclasses import replace

from redis.asyncio import Redis

from gateway.apps import App, AppStatus
from gateway.tokens.token import Credential, Token
from gateway.tokens.warmup import WarmUp

from .conftest import Process, Simulated, StartProcess


def warm_up(process: Process) -> WarmUp:
    """Renews as a call does that finds no token."""

    async def renew(credential: Credential) -> Token:
        return await process.pool.get(credential.app, credential.holder)

    return WarmUp(process.redis, process.postgres, renew)


async def outcomes(process: Process, apps: list[App], *, dry_run: bool = False) -> list[str]:
    return [warmed.what for warmed in await warm_up(process).run(apps, dry_run=dry_run)]


async def test_tokens_are_loaded_out_of_postgres_and_only_missing_ones_asked_for(
    feishu: Simulated, start_process: StartProcess, redis_url: str
) -> None:
    first = await start_process()
    apps = feishu.more_apps(6)
    for app in apps[:4]:
        await first.postgres.put(await first.pool.get(app))
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
    process, before = await start_process(), feishu.token_requests
    expected = ["loaded"] * 4 + ["refreshed"] * 2
    assert await outcomes(process, apps, dry_run=True) == expected
    assert await outcomes(process, apps, dry_run=True) == expected
    assert feishu.token_requests == before
    assert await outcomes(process, apps) == expected
    assert feishu.token_requests == before + 2
    for app in apps:
        assert (await process.redis.look(Credential.of(app))).token is not None
    assert await outcomes(process, apps) == ["ready"] * 6
    assert feishu.token_requests == before + 2


async def test_only_enabled_apps_are_warmed_and_failures_are_told_by_app(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process()
    good, disabled = feishu.more_apps(2)
    disabled = replace(disabled, status=AppStatus.DISABLED)
    unreadable = replace(good, alias="unreadable", unreadable="a key is missing")
    wrong = replace(feishu.wrong_app, alias="wrong")
    warmed = await warm_up(process).run([good, disabled, unreadable, wrong])
    assert [(one.alias, one.what) for one in warmed] == [
        (good.alias, "refreshed"),
        ("unreadable", "failed"),
        ("wrong", "failed"),
    ]
    assert "a key is missing" in (warmed[1].reason or "")
    assert "app secret" in (warmed[2].reason or "").lower() or warmed[2].reason
    assert "wrong-secret" not in repr(warmed)


async def test_without_redis_nothing_can_be_warmed(
    feishu: Simulated, start_process: StartProcess
) -> None:
    process = await start_process(redis="redis://127.0.0.1:1/0")
    [warmed] = await warm_up(process).run([feishu.app])
    assert warmed.what == "failed"
    assert "away" in (warmed.reason or "")
    assert feishu.token_requests == 0
