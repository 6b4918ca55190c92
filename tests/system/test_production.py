"""A gateway in production: TLS, and no call before it is known who may make it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.database import Database
from gateway.producer_grant_rows import Grant, read_apis
from gateway.producer_grant_store import ProducerGrantStore
from sandbox.feishu import SandboxFeishu
from tests.support.calls import change, read
from tests.support.gateway import Gateway, api_requests
from tests.support.judging import assert_error
from tests.support.producer import Producer
from tests.support.proxy import Proxy, proxied
from tests.support.tls import Authority, tls_front
from tests.support.waiting import eventually


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Proxy]:
    """The way to a Postgres that holds a grant to read."""
    parts = urlsplit(database_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with proxied(parts.hostname, parts.port) as proxy:
        yield proxy


@pytest.fixture
async def production(
    simulated: SandboxFeishu,
    gateway_environment: dict[str, str],
    postgres: Proxy,
    tmp_path: Path,
) -> AsyncIterator[dict[str, str]]:
    """Settings that production takes."""
    authority = Authority(tmp_path, "ours")
    parts = urlsplit(gateway_environment["DATABASE_URL"])
    account = parts.netloc.rpartition("@")[0]
    url = parts._replace(netloc=f"{account}@127.0.0.1:{postgres.port}").geturl()
    port = urlsplit(simulated.url).port
    assert port is not None
    async with tls_front(port, authority.server("127.0.0.1")) as front:
        yield gateway_environment | {
            "LARK_SERVICE_ENV": "production",
            "LARK_SERVICE_SECRET_KEY": secrets.token_hex(32),
            "LARK_DOMAIN": f"https://127.0.0.1:{front.port}",
            "LARK_SERVICE_FEISHU_CA_FILE": str(authority.file),
            "DATABASE_URL": url,
        }


async def waits_for_grants_alone(gateway: Gateway) -> None:
    """Wait until /readyz misses them, and what is taken only once they are known."""
    await eventually(lambda: bool(gateway.log.exists() and gateway.events("health endpoint ready")))
    port = gateway.events("health endpoint ready")[0]["port"]
    missing: list[str] = []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, asyncio.timeout(20):
        while missing != ["[-]producer-grants", "[-]rabbitmq-overflow"]:
            async with http.get("/readyz") as response:
                assert response.status == 503
                text = await response.text()
            missing = [line for line in text.splitlines() if line.startswith("[-]")]


async def test_calls_wait_until_the_grants_are_known_and_then_go_by_tls(
    production: dict[str, str],
    postgres: Proxy,
    database_url: str,
    rabbitmq_url: str,
    rabbitmq_user: str,
    simulated: SandboxFeishu,
    tmp_path: Path,
) -> None:
    database = Database(database_url)
    await database.migrate()
    granted = Grant(rabbitmq_user, "default", read_apis("GET /open-apis/contact/*"))
    await ProducerGrantStore(database).grant([granted], closes=True)
    await database.close()
    port = postgres.port
    await postgres.close()

    gateway = Gateway(tmp_path, production)
    starting = asyncio.create_task(gateway.start())
    try:
        await waits_for_grants_alone(gateway)
        producer = await Producer.open(rabbitmq_url)
        calls = [
            asyncio.create_task(producer.call(body, within=30, user_id=rabbitmq_user))
            for body in (read(), change())
        ]
        (effect,) = {entry["effect"] for entry in gateway.events("producer grants not read")}
        assert effect == "until they are, no call is taken"
        assert not any(call.done() for call in calls)
        assert api_requests(simulated) == []
        await postgres.open(port)
        await starting
        allowed, refused = await asyncio.gather(*calls)
        assert allowed.json["ok"]
        assert_error(refused, "forbidden", "not_executed", retryable=False)
        await producer.close()
    finally:
        starting.cancel()
        await gateway.stop()
