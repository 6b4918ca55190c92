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
from redis.asyncio import Redis

from gateway import redis_client
from gateway.apps import App, AppKind
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.metrics import Metrics
from gateway.tokens.build import build_token_pool
from gateway.tokens.pool import TokenPool
from gateway.tokens.postgres_tokens import PostgresTokens
from gateway.tokens.redis_tokens import RedisTokens
from gateway.tokens.token import Credential, Token
from sandbox.feishu import DEFAULT_SECRET, Options, SandboxFeishu
from sandbox.feishu.faults import Rule
from sandbox.feishu.tickets import StoreApp
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

    def more_apps(self, count: int) -> list[App]:
        """So many other apps, with ids of their own."""
        ids = [f"cli_{secrets.token_hex(8)}" for _ in range(count)]
        self.server.world.tokens.apps.update(dict.fromkeys(ids, DEFAULT_SECRET))
        return [
            App(f"app-{number}", app_id, SecretStr(DEFAULT_SECRET), self.server.url)
            for number, app_id in enumerate(ids)
        ]

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
class Shop:
    """A store app at the simulated Feishu."""

    server: SandboxFeishu
    app: App

    def asked(self, name: str) -> int:
        """Requests to one endpoint so far."""
        return self.server.world.ledger.requests[name]

    @property
    def ticket(self) -> str:
        """The one that Feishu takes."""
        return self.server.world.tickets.apps[self.app.app_id].ticket or ""

    def push(self) -> str:
        """Make a new ticket, and the one before void."""
        return self.server.world.tickets.push(self.app.app_id)

    def revoke(self, tenant: str) -> None:
        self.server.world.tokens.revoke(self.app.app_id, tenant=tenant)

    def fail(self, name: str, code: int, count: int) -> None:
        fault = {"template": name.partition(" ")[2], "status": 200, "code": code, "count": count}
        self.server.world.script.rules.append(Rule.parse(fault))


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


async def kept(process: Process, token: Token) -> None:
    """Wait until Postgres holds this token."""
    for _ in range(1000):
        if (await process.postgres.look(token.credential)).token == token:
            return
        await asyncio.sleep(0.005)
    pytest.fail("the token never reached Postgres")


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


@dataclass(frozen=True)
class Servers:
    """What a process has open."""

    redis: Redis
    database: Database
    session: aiohttp.ClientSession


async def opened(stack: AsyncExitStack, redis: str, postgres: str, *, awake: bool) -> Servers:
    """Open connections that end with the stack; a Redis that is *awake* has answered before."""
    client = redis_client.connect(redis)
    stack.push_async_callback(client.aclose)
    if awake:
        # The first connection of all may take longer than a store may take to answer.
        await client.ping()
    database = Database(postgres)
    stack.push_async_callback(database.close)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    return Servers(client, database, session)


@pytest.fixture
async def start_process(redis_url: str, migrated_url: str) -> AsyncIterator[StartProcess]:
    """Starts processes, by default on the shared Redis and Postgres."""
    async with AsyncExitStack() as stack:

        async def start(*, redis: str = redis_url, postgres: str = migrated_url) -> Process:
            open_ = await opened(stack, redis, postgres, awake=redis == redis_url)
            stores = RedisTokens(open_.redis, KEYS), PostgresTokens(open_.database, KEYS)
            metrics = Metrics()
            pool = build_token_pool(open_.session, open_.redis, open_.database, KEYS, metrics)
            stack.push_async_callback(pool.close)
            return Process(pool, *stores, open_.database, metrics)

        yield start


@pytest.fixture
def shop(feishu: Simulated) -> Shop:
    """A store app that has no ticket yet."""
    feishu.server.world.tickets.apps[feishu.app_id] = StoreApp()
    alias = f"shop-{secrets.token_hex(4)}"
    return Shop(feishu.server, replace(feishu.app, alias=alias, kind=AppKind.STORE))
