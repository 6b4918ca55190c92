from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import aiohttp
import pytest
from aiohttp import web

from gateway.apps import App
from gateway.errors import AttemptFailed, GatewayError
from gateway.tokens.issuer import TENANT_TOKEN_PATH, Issuer
from gateway.tokens.token import Credential
from schemas.reply import ErrorType, Outcome

from .conftest import Simulated

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable["Endpoint"]]


@dataclass
class Endpoint:
    """A token endpoint that answers as a test says."""

    url: str
    requests: list[web.Request] = field(default_factory=list)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> Endpoint:
        endpoint = Endpoint("")

        async def handle(request: web.Request) -> web.StreamResponse:
            endpoint.requests.append(request)
            return await handler(request)

        server = web.Application()
        server.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(server, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        endpoint.url = "http://{}:{}".format(*runner.addresses[0][:2])
        return endpoint

    yield start
    for runner in runners:
        await runner.cleanup()


async def failure(issuer: Issuer, app: App) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await issuer.issue(Credential.of(app), None)
    shown = f"{caught.value} {caught.value.hint} {caught.value.__cause__!r}"
    assert app.secret.get_secret_value() not in shown
    return caught.value


async def test_feishu_says_how_long_the_token_still_lives(
    feishu: Simulated, session: aiohttp.ClientSession
) -> None:
    first = await Issuer(session).issue(Credential.of(feishu.app), None)
    assert 7198 <= first.expires_in <= 7200
    assert feishu.accepts(first.token)
    assert (await Issuer(session).issue(Credential.of(feishu.app), None)).token == first.token


async def test_a_wrong_secret_is_asked_about_once(
    feishu: Simulated, session: aiohttp.ClientSession
) -> None:
    error = await failure(Issuer(session), feishu.wrong_app)
    assert (error.type, error.code) == (ErrorType.CREDENTIALS_INVALID, 10014)
    assert "Invalid App ID or App Secret" in (error.hint or "")
    assert error.log_id
    assert feishu.token_requests == 1


async def test_a_malformed_app_id_is_a_wrong_credential(
    feishu: Simulated, session: aiohttp.ClientSession
) -> None:
    error = await failure(Issuer(session), replace(feishu.app, app_id="junk"))
    assert (error.type, error.code) == (ErrorType.CREDENTIALS_INVALID, 10003)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "code": 2200},
        {"status": 200, "code": 2200},
        {"status": 504, "body": "upstream timeout", "content_type": "text/plain"},
        {"cut": "before"},
        {"wire": "truncated"},
        {"wire": "huge"},
    ],
)
async def test_a_fault_that_may_pass_is_tried_three_times_at_most(
    feishu: Simulated, session: aiohttp.ClientSession, fault: dict[str, object]
) -> None:
    feishu.fail(**fault, count=3)
    error = await failure(Issuer(session), feishu.app)
    assert isinstance(error, AttemptFailed)
    assert (error.type, error.outcome) == (ErrorType.FEISHU_UNAVAILABLE, Outcome.NOT_EXECUTED)
    assert feishu.token_requests == 3
    feishu.fail(**fault, count=2)
    assert feishu.accepts((await Issuer(session).issue(Credential.of(feishu.app), None)).token)


async def test_all_tries_together_keep_to_the_budget(
    feishu: Simulated, session: aiohttp.ClientSession
) -> None:
    feishu.fail(wire="hang", count=9)
    started = time.monotonic()
    error = await failure(Issuer(session, budget=0.5), feishu.app)
    assert 0.4 < time.monotonic() - started < 0.8
    assert error.type is ErrorType.FEISHU_UNAVAILABLE


async def test_a_late_failure_leaves_the_next_try_only_what_is_left(
    feishu: Simulated, session: aiohttp.ClientSession
) -> None:
    feishu.fail(status=503, delay_ms=700)
    feishu.fail(wire="hang")
    started = time.monotonic()
    await failure(Issuer(session, budget=1.2), feishu.app)
    assert feishu.token_requests == 2
    assert time.monotonic() - started < 1.6


async def test_an_answer_without_end_is_cut(
    serve: Serve, session: aiohttp.ClientSession, feishu: Simulated
) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    endpoint = await serve(flood)
    started = time.monotonic()
    await failure(Issuer(session), replace(feishu.app, domain=endpoint.url))
    assert time.monotonic() - started < 3
    assert len(endpoint.requests) == 3


async def test_an_answer_drop_by_drop_does_not_outlast_the_budget(
    serve: Serve,
    session: aiohttp.ClientSession,
    feishu: Simulated,
) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    endpoint = await serve(trickle)
    started = time.monotonic()
    await failure(Issuer(session, budget=0.5), replace(feishu.app, domain=endpoint.url))
    assert time.monotonic() - started < 0.8


async def test_a_host_that_is_not_there_is_unavailable(
    feishu: Simulated, session: aiohttp.ClientSession
) -> None:
    for domain in ("http://127.0.0.1:1", "http://no-such-host.invalid"):
        error = await failure(Issuer(session), replace(feishu.app, domain=domain))
        assert error.type is ErrorType.FEISHU_UNAVAILABLE


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_never_carries_the_secret_elsewhere(
    serve: Serve,
    session: aiohttp.ClientSession,
    feishu: Simulated,
    status: int,
) -> None:
    async def take(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": 0, "tenant_access_token": "t-evil", "expire": 7200})

    elsewhere = await serve(take)

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": elsewhere.url})

    endpoint = await serve(redirect)
    error = await failure(Issuer(session), replace(feishu.app, domain=endpoint.url))
    assert error.type is ErrorType.FEISHU_UNAVAILABLE
    assert elsewhere.requests == []


async def test_a_proxy_of_the_environment_is_not_used(
    serve: Serve,
    session: aiohttp.ClientSession,
    feishu: Simulated,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def proxy(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502)

    evil = await serve(proxy)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, evil.url)
    await Issuer(session).issue(Credential.of(feishu.app), None)
    assert evil.requests == []


async def test_the_request_is_what_feishu_documents(
    serve: Serve,
    session: aiohttp.ClientSession,
    feishu: Simulated,
) -> None:
    bodies: list[object] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        return web.json_response(
            {"code": 0, "msg": "ok", "tenant_access_token": "t-1", "expire": 4567}
        )

    endpoint = await serve(answer)
    app = replace(feishu.app, domain=endpoint.url)
    assert (await Issuer(session).issue(Credential.of(app), None)).expires_in == 4567
    [request] = endpoint.requests
    assert (request.method, request.path_qs) == ("POST", TENANT_TOKEN_PATH)
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Authorization" not in request.headers
    assert bodies == [{"app_id": app.app_id, "app_secret": app.secret.get_secret_value()}]
