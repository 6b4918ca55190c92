"""Tokens of store apps, from processes of one fleet: the app's own, and those of its tenants."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from pydantic import SecretStr

from gateway.errors import AttemptFailed, Refused
from gateway.tokens.token import APP, Holder
from sandbox.feishu.tokens import RESEND_TICKET, STORE_APP_TOKEN, STORE_TENANT_TOKEN
from schemas.reply import ErrorType

from .conftest import Process, Shop, StartProcess
from .shops import ONE, OTHER, failure, with_ticket


async def test_all_tenants_and_processes_share_the_apps_own_token(
    shop: Shop, start_process: StartProcess
) -> None:
    first, second = await with_ticket(shop, start_process), await start_process()
    shop.server.world.latency_ms = 50
    tokens = await asyncio.gather(
        *(
            process.pool.get(shop.app, holder)
            for process in (first, second)
            for holder in (ONE, OTHER, APP)
            for _ in range(20)
        )
    )
    assert len({token.value for token in tokens}) == 3
    assert shop.asked(STORE_APP_TOKEN) == 1
    assert shop.asked(STORE_TENANT_TOKEN) == 2
    assert shop.asked(RESEND_TICKET) == 0


async def test_each_token_is_of_its_tenant(shop: Shop, start_process: StartProcess) -> None:
    process = await with_ticket(shop, start_process)
    for holder in (ONE, OTHER, APP):
        token = await process.pool.get(shop.app, holder)
        known = shop.server.world.tokens.find(token.value)
        assert known is not None
        assert (known.app_id, known.tenant) == (shop.app.app_id, holder.name)
        assert known.kinds == {holder.kind}


async def test_an_app_token_that_is_rejected_is_replaced_once_and_the_tenant_gets_its_own(
    shop: Shop, start_process: StartProcess
) -> None:
    process = await with_ticket(shop, start_process)
    old = await process.pool.get(shop.app, APP)
    shop.revoke("")
    await process.pool.get(shop.app, ONE)
    assert await process.pool.get(shop.app, APP) != old
    assert shop.asked(STORE_APP_TOKEN) == 2
    assert shop.asked(STORE_TENANT_TOKEN) == 2


async def test_an_app_token_that_feishu_gives_out_again_is_not_at_fault(
    shop: Shop, start_process: StartProcess
) -> None:
    process = await with_ticket(shop, start_process)
    shop.fail(STORE_TENANT_TOKEN, 99991664, 9)
    error = await failure(process, shop.app)
    assert isinstance(error, AttemptFailed)
    assert (error.type, error.code) == (ErrorType.FEISHU_UNAVAILABLE, 99991664)
    assert shop.asked(STORE_TENANT_TOKEN) == 1
    assert shop.asked(STORE_APP_TOKEN) == 2
    # It goes on being good for others.
    shop.server.world.script.rules.clear()
    await process.pool.get(shop.app, OTHER)
    assert shop.asked(STORE_APP_TOKEN) == 2


async def test_an_app_token_that_is_rejected_again_is_not_replaced_for_ever(
    shop: Shop, start_process: StartProcess
) -> None:
    process = await with_ticket(shop, start_process)
    await process.pool.get(shop.app, APP)
    shop.revoke("")
    shop.fail(STORE_TENANT_TOKEN, 99991664, 9)
    assert (await failure(process, shop.app)).code == 99991664
    assert shop.asked(STORE_TENANT_TOKEN) == 2
    assert shop.asked(STORE_APP_TOKEN) == 2


async def test_a_wrong_tenant_key_harms_no_other_tenant(
    shop: Shop, start_process: StartProcess
) -> None:
    process = await with_ticket(shop, start_process)
    shop.fail(STORE_TENANT_TOKEN, 10013, 1)
    error = await failure(process, shop.app, ONE)
    assert isinstance(error, Refused)
    assert (error.type, error.code) == (ErrorType.CREDENTIALS_INVALID, 10013)
    await process.pool.get(shop.app, OTHER)


async def test_a_wrong_secret_is_said_with_and_without_a_ticket(
    shop: Shop, start_process: StartProcess
) -> None:
    wrong = replace(shop.app, secret=SecretStr("wrong-secret"))
    process = await start_process()
    error = await failure(process, wrong)
    assert (error.type, error.code) == (ErrorType.CREDENTIALS_INVALID, 10014)
    other = await with_ticket(shop, start_process)
    wrong = replace(shop.app, secret=SecretStr("another-wrong-secret"))
    error = await failure(other, wrong)
    assert (error.type, error.code) == (ErrorType.CREDENTIALS_INVALID, 10014)
    assert shop.asked(RESEND_TICKET) == 1


async def test_a_store_app_has_no_tenant_of_its_own(
    shop: Shop, start_process: StartProcess
) -> None:
    process = await with_ticket(shop, start_process)
    error = await failure(process, shop.app, Holder("tenant"))
    assert error.type is ErrorType.INVALID_CALL
    assert shop.asked(STORE_APP_TOKEN) == 0


async def test_tenants_go_on_while_tokens_end_and_the_apps_own_is_revoked_again_and_again(
    shop: Shop, start_process: StartProcess
) -> None:
    processes = [await with_ticket(shop, start_process), await start_process()]
    tokens = shop.server.world.tokens
    tokens.life, tokens.renew_below = 2.0, 0.5
    tenants = [Holder("tenant", f"t{number}") for number in range(5)]
    seen: dict[Holder, set[str]] = {tenant: set() for tenant in tenants}

    async def call(process: Process, tenant: Holder) -> None:
        while len(seen[tenant]) < 3:
            # Its own may be revoked twice while it asks: that passes, as for a call.
            with suppress(AttemptFailed):
                token = await process.pool.get(shop.app, tenant, timeout=10)
                seen[tenant].add(token.value)
            await asyncio.sleep(0.01)

    async def revoke() -> None:
        while True:
            shop.revoke("")
            await asyncio.sleep(0.2)

    revoking = asyncio.create_task(revoke())
    async with asyncio.timeout(60):
        await asyncio.gather(*(call(process, each) for process in processes for each in tenants))
    revoking.cancel()
