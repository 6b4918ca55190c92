"""A gateway in production: TLS, and no call before it is known who may make it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from gateway.database import Database
from gateway.producer_grant_rows import Grant, read_apis
from gateway.producer_grant_store import ProducerGrantStore
from sandbox.feishu import SandboxFeishu
from tests.support.calls import change, read
from tests.support.documents import ROOT
from tests.support.gateway import READY_SECONDS, Gateway, api_requests
from tests.support.judging import assert_error
from tests.support.producer import Producer
from tests.support.proxy import Proxy, proxied, through
from tests.support.tls import Authority, tls_front
from tests.support.waiting import eventually

DOCUMENT = (ROOT / "docs/security.md").read_text(encoding="utf-8")


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Proxy]:
    """The way to a Postgres that holds a grant to read."""
    parts = urlsplit(database_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with proxied(parts.hostname, parts.port) as proxy:
        yield proxy


@pytest.fixture
async def redis_user(redis_url: str) -> AsyncIterator[str]:
    """Redis for the user that docs/security.md has made, who is refused nothing."""
    (line,) = [line for line in DOCUMENT.splitlines() if line.startswith("ACL SETUSER ")]
    command, subcommand, name, *rules = line.split()
    password, parts = secrets.token_hex(8), urlsplit(redis_url)
    rules = [f">{password}" if rule == ">PASSWORD" else rule for rule in rules]
    async with Redis.from_url(redis_url) as admin:
        await admin.execute_command(command, subcommand, name, *rules)
        try:
            host = parts.netloc.rpartition("@")[2]
            url = parts._replace(netloc=f"{name}:{password}@{host}").geturl()
            async with Redis.from_url(url) as restricted:
                for forbidden in (
                    ("FLUSHALL",),
                    ("KEYS", "*"),
                    ("CONFIG", "GET", "*"),
                    ("GET", "x"),
                ):
                    with pytest.raises(NoPermissionError):
                        await restricted.execute_command(*forbidden)
            await admin.execute_command("ACL", "LOG", "RESET")
            yield url
            refused = await admin.execute_command("ACL", "LOG")
            assert [entry for entry in refused if name in str(entry)] == []
        finally:
            await admin.execute_command("ACL", "DELUSER", name)


@pytest.fixture
async def production(
    simulated: SandboxFeishu,
    gateway_environment: dict[str, str],
    postgres: Proxy,
    redis_user: str,
    tmp_path: Path,
) -> AsyncIterator[dict[str, str]]:
    """Settings that production takes."""
    authority = Authority(tmp_path, "ours")
    url = through(postgres, gateway_environment["DATABASE_URL"])
    port = urlsplit(simulated.url).port
    assert port is not None
    async with tls_front(port, authority.server("127.0.0.1")) as front:
        yield gateway_environment | {
            "LARK_SERVICE_ENV": "production",
            "LARK_SERVICE_SECRET_KEY": secrets.token_hex(32),
            "LARK_DOMAIN": f"https://127.0.0.1:{front.port}",
            "LARK_SERVICE_FEISHU_CA_FILE": str(authority.file),
            "DATABASE_URL": url,
            "REDIS_URL": redis_user,
        }


async def waits_for_grants_alone(gateway: Gateway) -> None:
    """Wait until /readyz misses them, and what is taken only once they are known."""
    await eventually(
        lambda: bool(gateway.log.exists() and gateway.events("health endpoint ready")),
        within=READY_SECONDS,
    )
    port = gateway.events("health endpoint ready")[0]["port"]
    missing: list[str] = []
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        asyncio.timeout(READY_SECONDS),
    ):
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
