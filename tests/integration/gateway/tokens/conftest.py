"""A fleet of gateway processes as far as tokens go: each with its own pool and connections."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import aiohttp
import pytest
from pydantic import SecretStr

from gateway import redis_client
from gateway.apps import App
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.metrics import Metrics
from gateway.tokens.issuer import Issuer
from gateway.tokens.pool import TokenPool
from gateway.tokens.postgres_tokens import PostgresTokens
from gateway.tokens.redis_tokens import RedisTokens
from gateway.tokens.token import Credential
from sandbox.feishu import DEFAULT_SECRET, Options, SandboxFeishu
from sandbox.feishu.faults import Rule
from sandbox.feishu.tokens import TENANT_TOKEN
from schemas.apis import ApiTable

KEYS = KeyRing([bytes(range(32))])


@dataclass
class Simulated:
    """A simulated Feishu and its one app, whose id is its own: a port may come back, and with it
    what an earlier test stored under it."""

    server: SandboxFeishu
    app_id: str
    accepted: int = 0
    """Calls with a token that was taken."""

    @property
    def app(self) -> App:
        return App("default", self.app_id, SecretStr(DEFAULT_SECRET), self.server.url)

    @property
    def wrong_app(self) -> App:
        return replace(self.app, secret=SecretStr("wrong-secret"))

    @property
    def credential(self) -> Credential:
        return Credential.of(self.app)

    @property
    def token_requests(self) -> int:
        return self.server.world.ledger.requests[TENANT_TOKEN]

    def accepts(self, token: str) -> bool:
        """Whether a call with this token would be taken."""
        accepted = token in self.server.world.tokens._valid
        self.accepted += accepted
        return accepted

    def fail(self, **fault: object) -> None:
        """Script a fault for token requests."""
        template = TENANT_TOKEN.partition(" ")[2]
        self.server.world.script.rules.append(Rule.parse({"template": template, **fault}))


@dataclass
class Process:
    """What one gateway process holds."""

    pool: TokenPool
    redis: RedisTokens
    postgres: PostgresTokens
    database: Database
    metrics: Metrics


async def call(process: Process, feishu: Simulated) -> None:
    """One call as the executor makes it: a rejected token is replaced by a newer one."""
    token = await process.pool.get(feishu.app)
    for _ in range(5):
        await asyncio.sleep(0.002)
        if feishu.accepts(token.value):
            return
        await process.pool.rejected(token)
        newer = await process.pool.get(feishu.app)
        assert newer != token
        assert newer.issued_at > token.issued_at
        token = newer
    pytest.fail("no token was accepted")


async def many_calls(processes: Iterable[Process], feishu: Simulated, count: int) -> None:
    """32 callers in each process, each with that many calls one after the other."""

    async def worker(process: Process) -> None:
        for _ in range(count):
            await call(process, feishu)

    await asyncio.gather(*(worker(process) for process in processes for _ in range(32)))


StartProcess = Callable[..., Awaitable[Process]]


@pytest.fixture(scope="session")
def api_table() -> ApiTable:
    return ApiTable.load()


@pytest.fixture
async def feishu(api_table: ApiTable) -> AsyncIterator[Simulated]:
    app_id = f"cli_{secrets.token_hex(8)}"
    server = SandboxFeishu(Options(apps={app_id: DEFAULT_SECRET}), api_table)
    await server.start()
    yield Simulated(server, app_id)
    await server.stop()


@pytest.fixture(scope="module")
async def migrated_url(database_url: str) -> str:
    database = Database(database_url)
    await database.migrate()
    await database.close()
    return database_url


@pytest.fixture
async def start_process(redis_url: str, migrated_url: str) -> AsyncIterator[StartProcess]:
    """Starts processes, by default on the shared Redis and Postgres."""
    async with AsyncExitStack() as stack:

        async def start(*, redis: str = redis_url, postgres: str = migrated_url) -> Process:
            client = redis_client.connect(redis)
            stack.push_async_callback(client.aclose)
            if redis == redis_url:
                # The first connection of all may take longer than a store may take to answer.
                await client.ping()
            database = Database(postgres)
            stack.push_async_callback(database.close)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            stores = RedisTokens(client, KEYS), PostgresTokens(database, KEYS)
            metrics = Metrics()
            pool = TokenPool(Issuer(session), *stores, metrics)
            stack.push_async_callback(pool.close)
            return Process(pool, *stores, database, metrics)

        yield start
