"""The scenes in their order, and what they proved."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
from rich.console import Console
from rich.text import Text

from cli.exits import CommandFailed
from cli.producer import open_producer
from gateway.database import Database
from gateway.errors import GatewayError

from .children import Children
from .scenes import one_call, poison, producers, revoked_token, saturation
from .stage import Check, Feishu, Stage

Play = Callable[[Stage], Awaitable[list[Check]]]
SCENES: tuple[tuple[str, Play], ...] = (
    (one_call.TITLE, one_call.play),
    (producers.TITLE, producers.play),
    (saturation.TITLE, saturation.play),
    (revoked_token.TITLE, revoked_token.play),
    (poison.TITLE, poison.play),
)


@dataclass(slots=True)
class Outcome:
    """What was checked, by the titles of the scenes, and what could not be shown here."""

    checks: list[tuple[str, Check]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that was claimed held."""
        return bool(self.checks) and all(check.held for _, check in self.checks)


async def tell(console: Console, children: Children, servers: Mapping[str, str]) -> Outcome:
    """Play all scenes; a scene that breaks off is a check that failed."""
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        database = Database(servers["DATABASE_URL"])
        stack.push_async_callback(database.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stage = Stage(
            console=console,
            rabbitmq_url=servers["RABBITMQ_URL"],
            producer=await stack.enter_async_context(open_producer(servers["RABBITMQ_URL"])),
            database=database,
            feishu=Feishu(http, children.feishu()),
            http=http,
            gateways=children.gateways,
            run=f"demo-{secrets.token_hex(2)}",
            skipped=outcome.skipped,
        )
        for number, (title, play) in enumerate(SCENES, start=1):
            console.print(Text(f"\n{number}  {title}", "bold"))
            outcome.checks += [(title, check) for check in await _played(title, play, stage)]
    return outcome


async def _played(title: str, play: Play, stage: Stage) -> list[Check]:
    try:
        return await play(stage)
    except* (CommandFailed, GatewayError, aiohttp.ClientError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        told = str(error)
    stage.say(f"It broke off: {told}")
    return [Check(f"it comes to its end: {title}", told, held=False)]
