"""A simulated Feishu in the test's own process, a clock to turn, and a client that sees it all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest

from sandbox.feishu import DEFAULT_APP_ID, DEFAULT_SECRET, Options, SandboxFeishu
from schemas.apis import ApiTable

TENANT_TOKEN = "/open-apis/auth/v3/tenant_access_token/internal"
SEND = "/open-apis/im/v1/messages"
OTHER_APP = "cli_sandbox0000000002"
OTHER_SECRET = "other-secret"


@dataclass
class Clock:
    """Unix time that stands still until it is turned."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Got:
    """An HTTP response, read to its end."""

    status: int
    headers: Any
    content: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.content)

    @property
    def code(self) -> int:
        return int(self.json["code"])

    @property
    def data(self) -> Any:
        return self.json["data"]


class Feishu:
    """A running sandbox as seen by a caller; `token` is that of the default app."""

    def __init__(self, server: SandboxFeishu, http: aiohttp.ClientSession, clock: Clock) -> None:
        self.server = server
        self.world = server.world
        self.http = http
        self.clock = clock
        self.token = ""

    async def call(self, method: str, path: str, *, token: str | None = None, **how: Any) -> Got:
        """One request with a bearer token; an empty `token` sends none."""
        headers = dict(how.pop("headers", {}))
        if value := self.token if token is None else token:
            headers["Authorization"] = f"Bearer {value}"
        return await self.raw(method, path, headers=headers, **how)

    async def raw(self, method: str, path: str, **how: Any) -> Got:
        """One request as given."""
        how.setdefault("allow_redirects", False)
        async with self.http.request(method, self.server.url + path, **how) as response:
            return Got(response.status, response.headers, await response.read())

    async def get_token(
        self, app_id: str = DEFAULT_APP_ID, secret: str = DEFAULT_SECRET
    ) -> dict[str, Any]:
        """What the tenant token endpoint says."""
        credentials = {"app_id": app_id, "app_secret": secret}
        got = await self.raw("POST", TENANT_TOKEN, json=credentials)
        return dict(got.json)

    async def send(self, to: str = "oc_a", text: str = "hi", **fields: Any) -> Got:
        """Send a text message to a chat; `token` is the bearer token, the rest goes in the body."""
        token = fields.pop("token", None)
        body = {"receive_id": to, "msg_type": "text", "content": f'{{"text":"{text}"}}', **fields}
        return await self.call(
            "POST", SEND, token=token, params={"receive_id_type": "chat_id"}, json=body
        )

    async def control(self, method: str, name: str, body: Any = None, **query: Any) -> Any:
        """Use the control endpoint; the answer must be a success."""
        got = await self.raw(method, f"/_sandbox/{name}", json=body, params=query)
        assert got.status == 200, got.content
        return got.json


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for something that this process can see; TimeoutError when it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)


OpenFeishu = Callable[..., Awaitable[Feishu]]


@pytest.fixture(scope="session")
def api_table() -> ApiTable:
    return ApiTable.load()


@pytest.fixture
async def open_feishu(api_table: ApiTable) -> AsyncIterator[OpenFeishu]:
    """Starts sandboxes with the given options and two apps; stops them after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**options: Any) -> Feishu:
            clock = Clock()
            apps = {DEFAULT_APP_ID: DEFAULT_SECRET, OTHER_APP: OTHER_SECRET}
            server = SandboxFeishu(Options(apps=apps, clock=clock, **options), api_table)
            await server.start()
            stack.push_async_callback(server.stop)
            # A connection per request: a server that cuts one must not be asked on it again.
            connector = aiohttp.TCPConnector(force_close=True)
            http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            feishu = Feishu(server, http, clock)
            feishu.token = (await feishu.get_token())["tenant_access_token"]
            return feishu

        yield open_one


@pytest.fixture
async def feishu(open_feishu: OpenFeishu) -> Feishu:
    """A sandbox as it is by default."""
    return await open_feishu()
