"""Processes of a gateway that issue the tokens of a store app."""

from __future__ import annotations

import asyncio

import pytest

from gateway.apps import App
from gateway.errors import GatewayError, NotNow
from gateway.tokens.tickets import AppTickets
from gateway.tokens.token import Holder, Token

from .conftest import KEYS, Process, Shop, StartProcess

ONE, OTHER = Holder("tenant", "t1"), Holder("tenant", "t2")


async def with_ticket(shop: Shop, start_process: StartProcess) -> Process:
    """A process of a fleet that has a ticket which Feishu takes."""
    process = await start_process()
    shop.push()
    await store_ticket(process, shop)
    return process


async def store_ticket(process: Process, shop: Shop) -> None:
    """Hand in the ticket that Feishu pushed last."""
    await AppTickets(process.database, KEYS).put(shop.app, shop.ticket)


async def failure(process: Process, app: App, holder: Holder = ONE) -> GatewayError:
    """How it fails to get a token."""
    with pytest.raises(GatewayError) as caught:
        await process.pool.get(app, holder)
    return caught.value


async def got(process: Process, app: App, holder: Holder = ONE) -> Token:
    """The token, as a call gets it that waits as often as it is told to."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await process.pool.get(app, holder)
            except NotNow as error:
                await asyncio.sleep(error.retry_after or 0.0)
