"""TLS to RabbitMQ, Redis, Postgres and Feishu: by the authority that the site names alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from yarl import URL

from consumers.connection import close_quietly, open_connection
from gateway import redis_client
from gateway.database import Database
from gateway.feishu import Feishu, open_session
from gateway.request import Request
from gateway.settings import Settings, load_settings
from tests.support.tls import Authority, tls_front

HERE = ("127.0.0.1",)
DAY = timedelta(days=1)
Reach = Callable[[Settings], Awaitable[Any]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "theirs")


async def rabbitmq(settings: Settings) -> None:
    connection = await open_connection(settings.rabbitmq_url.get_secret_value(), "test")
    await close_quietly(connection)


async def redis(settings: Settings) -> None:
    client = redis_client.connect(settings.redis_url.get_secret_value())
    try:
        await client.ping()
    finally:
        await client.aclose()


async def postgres(settings: Settings) -> None:
    database = Database(settings.database_url.get_secret_value())
    try:
        await database.ping()
    finally:
        await database.close()


async def feishu(settings: Settings) -> None:
    async with open_session(settings.feishu_ca_file) as session:
        request = Request("GET", URL(f"{settings.domain}/open-apis/x"), {})
        answer = await Feishu(session).send(request, None, 5)
        assert answer.ok


@pytest.fixture(scope="module")
async def feishu_port() -> AsyncIterator[int]:
    """A server that answers everything well."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": 0})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


@pytest.fixture(scope="module")
def peers(
    rabbitmq_url: str, redis_url: str, database_url: str, feishu_port: int
) -> dict[str, tuple[str, str, str, Reach]]:
    """By name: variable and its plain address, the variable of the CA file, how it is reached."""
    return {
        "rabbitmq": ("RABBITMQ_URL", rabbitmq_url, "LARK_SERVICE_RABBITMQ_CA_FILE", rabbitmq),
        "redis": ("REDIS_URL", redis_url, "LARK_SERVICE_REDIS_CA_FILE", redis),
        "postgres": ("DATABASE_URL", database_url, "LARK_SERVICE_POSTGRES_CA_FILE", postgres),
        "feishu": (
            "LARK_DOMAIN",
            f"http://127.0.0.1:{feishu_port}",
            "LARK_SERVICE_FEISHU_CA_FILE",
            feishu,
        ),
    }


@pytest.mark.parametrize("name", ["rabbitmq", "redis", "postgres", "feishu"])
async def test_only_a_valid_certificate_of_our_authority_for_this_host_is_accepted(
    name: str,
    peers: dict[str, tuple[str, str, str, Reach]],
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
) -> None:
    variable, plain, ca_variable, reach = peers[name]
    parts = urlsplit(plain)
    assert parts.port is not None
    cases = {
        "": authority.server(*HERE),
        "unable to get local issuer certificate": stranger.server(*HERE),
        "IP address mismatch": authority.server("elsewhere.example", "127.0.0.2"),
        "certificate has expired": authority.server(*HERE, left=-DAY),
    }
    async with AsyncExitStack() as stack:
        for words, context in cases.items():
            front = await stack.enter_async_context(
                tls_front(parts.port, context, postgres=name == "postgres")
            )
            account = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
            secure = {"amqp": "amqps", "redis": "rediss", "http": "https"}
            scheme = secure.get(parts.scheme, parts.scheme)
            url = parts._replace(scheme=scheme, netloc=f"{account}127.0.0.1:{front.port}").geturl()
            settings = load_settings(
                {variable: url, ca_variable: str(authority.file)}, tmp_path, only={variable}
            )
            if not words:
                await reach(settings)
                continue
            with pytest.raises(Exception, match=words):
                await reach(settings)
