"""Feishu's answers as bytes on a connection, the odd ones above all."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, NoReturn, cast

import aiohttp
import pytest

from gateway.errors import AttemptFailed, Cause, GatewayError, Refused
from gateway.feishu import Answer, Feishu, open_session
from gateway.request import build_request
from schemas.call import Call
from schemas.names import MAX_RESPONSE_BYTES
from schemas.reply import ErrorType, Outcome
from tests.support.builders import make_call
from tests.support.calls import change, invite, read
from tests.support.spoken import Spoken

SUCCESS = b'{"code":0,"msg":"success"}'
JSON = b"Content-Type: application/json\r\n"


def answer(
    body: bytes = SUCCESS,
    status: bytes = b"200 OK",
    headers: bytes = JSON,
    length: int | None = None,
) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, headers, size) + body


@pytest.fixture
async def spoken() -> AsyncIterator[Spoken]:
    other = Spoken()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    other.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield other
    server.close()


@pytest.fixture
async def feishu() -> AsyncIterator[Feishu]:
    async with AsyncExitStack() as stack:
        yield Feishu(await stack.enter_async_context(open_session()))


async def get(feishu: Feishu, spoken: Spoken, *words: bytes, timeout: float = 5) -> Answer:
    spoken.words = b"".join(words)
    request = build_request(spoken.url, make_call(), {}, None)
    return await feishu.send(request, "t-token", timeout)


async def failure(
    feishu: Feishu, spoken: Spoken, *words: bytes, timeout: float = 5
) -> GatewayError:
    with pytest.raises(GatewayError) as failed:
        await get(feishu, spoken, *words, timeout=timeout)
    return failed.value


async def test_an_answer_is_read(feishu: Feishu, spoken: Spoken) -> None:
    headers = JSON + b"X-Tt-Logid: L\r\nServer: x\r\nSet-Cookie: a=b\r\nX-Request-Id: R\r\n"
    got = await get(feishu, spoken, answer(headers=headers))
    assert (got.status, got.body, got.code, got.ok) == (200, SUCCESS, 0, True)
    assert got.headers == {"x-tt-logid": "L", "x-request-id": "R"}
    assert got.log_id == "L"
    assert b"Authorization: Bearer t-token\r\n" in spoken.heard[0]


async def test_no_cookie_is_kept(feishu: Feishu, spoken: Spoken) -> None:
    for _ in range(2):
        headers = JSON + b"Connection: close\r\nSet-Cookie: a=b; Path=/\r\n"
        await get(feishu, spoken, answer(headers=headers))
    assert b"Cookie" not in spoken.heard[1]


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [(b"gzip", gzip.compress(SUCCESS)), (b"deflate", zlib.compress(SUCCESS))],
    ids=["gzip", "deflate"],
)
async def test_a_compressed_answer_is_unpacked(
    encoding: bytes, encoded: bytes, feishu: Feishu, spoken: Spoken
) -> None:
    got = await get(
        feishu, spoken, answer(encoded, headers=JSON + b"Content-Encoding: %s\r\n" % encoding)
    )
    assert got.document == {"code": 0, "msg": "success"}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(answer(b"{", b"200 OK"), id="broken off"),
        pytest.param(answer(b""), id="nothing"),
        pytest.param(answer(b"\xef\xbb\xbf" + SUCCESS), id="byte order mark"),
        pytest.param(answer(b'{"code":NaN}'), id="NaN"),
        pytest.param(answer("é".encode("latin-1")), id="no UTF-8"),
        pytest.param(answer(b'{"code":"0"}'), id="a code in quotes"),
        pytest.param(answer(b'{"code":null}'), id="a null code"),
        pytest.param(answer(b"", b"302 Found", b"Location: /elsewhere\r\n"), id="redirect"),
        pytest.param(answer(b"", b"304 Not Modified", b""), id="not modified"),
        pytest.param(answer(b"x" * (MAX_RESPONSE_BYTES + 1), headers=b""), id="too large"),
        pytest.param(
            answer(
                gzip.compress(b"x" * (MAX_RESPONSE_BYTES + 1)),
                headers=b"Content-Encoding: gzip\r\n",
            ),
            id="too large when unpacked",
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_says_why(
    words: bytes, feishu: Feishu, spoken: Spoken
) -> None:
    got = await get(feishu, spoken, words)
    assert got.flaw
    assert not got.ok
    assert len(spoken.heard) == 1


async def test_an_answer_of_10_mib_can_be_used(feishu: Feishu, spoken: Spoken) -> None:
    got = await get(feishu, spoken, answer(b"x" * MAX_RESPONSE_BYTES, headers=b""))
    assert got.ok
    assert len(got.body or b"") == MAX_RESPONSE_BYTES


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", id="no length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="no header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", id="large header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", id="no chunk"
        ),
        pytest.param(
            answer(b"no gzip at all", headers=JSON + b"Content-Encoding: gzip\r\n"), id="no gzip"
        ),
    ],
)
async def test_what_is_no_http_is_a_bad_response(
    words: bytes, feishu: Feishu, spoken: Spoken
) -> None:
    error = await failure(feishu, spoken, words)
    assert isinstance(error, Refused)
    assert (error.type, error.outcome) == (ErrorType.BAD_RESPONSE, Outcome.UNKNOWN)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"", id="before the answer"),
        pytest.param(b"HTTP/1.1 200", id="in the first line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", id="in the headers"),
        pytest.param(answer(length=1000), id="in the body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", id="in a chunk"
        ),
        pytest.param(
            answer(
                gzip.compress(SUCCESS)[:-12],
                headers=JSON + b"Content-Encoding: gzip\r\n",
                length=1000,
            ),
            id="in a compressed body",
        ),
    ],
)
async def test_a_connection_that_is_cut_leaves_the_outcome_unknown(
    words: bytes, feishu: Feishu, spoken: Spoken
) -> None:
    error = await failure(feishu, spoken, words)
    assert isinstance(error, AttemptFailed)
    assert (error.type, error.outcome) == (ErrorType.FEISHU_UNAVAILABLE, Outcome.UNKNOWN)
    assert error.cause is (Cause.TRUNCATED if b"\r\n\r\n" in words else Cause.CUT)
    assert len(spoken.heard) == 1


@pytest.mark.parametrize("build", [read, change, invite], ids=["GET", "PUT", "POST"])
async def test_a_request_on_a_kept_connection_that_is_just_closed_is_not_sent_again(
    build: Callable[[], dict[str, Any]], feishu: Feishu
) -> None:
    heard = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        for words in (answer(), b""):
            await reader.readuntil(b"\r\n\r\n")
            heard += 1
            writer.write(words)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    request = build_request(url, Call.model_validate(build()), {}, None)
    assert (await feishu.send(request, None, 5)).ok
    with pytest.raises(AttemptFailed) as failed:
        await feishu.send(request, None, 5)
    assert (failed.value.cause, failed.value.outcome) == (Cause.CUT, Outcome.UNKNOWN)
    assert heard == 2
    server.close()


async def test_what_drips_in_ends_with_the_attempt(feishu: Feishu) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(OSError):
            for byte in answer(length=1000) + b"x" * 900:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for seconds in (0.3, 1.5):
        with pytest.raises(AttemptFailed) as failed:
            await feishu.send(build_request(url, make_call(), {}, None), None, seconds)
        assert failed.value.cause is Cause.TIMEOUT
    server.close()


async def test_what_is_too_slow_to_connect_was_never_asked(feishu: Feishu, spoken: Spoken) -> None:
    spoken.stays = True
    spoken.url = spoken.url.replace("http", "https")
    error = await failure(feishu, spoken, timeout=0.3)
    assert isinstance(error, AttemptFailed)
    assert (error.cause, error.outcome) == (Cause.UNREACHABLE, Outcome.NOT_EXECUTED)


class Gone:
    """A session whose connection is closing when it is to be written to."""

    def request(self, *_words: object, **_how: object) -> NoReturn:
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")


async def test_a_connection_that_is_gone_before_the_first_byte_was_not_used() -> None:
    request = build_request("https://open.feishu.cn", make_call(), {}, None)
    with pytest.raises(AttemptFailed) as failed:
        await Feishu(cast(aiohttp.ClientSession, Gone())).send(request, None, 5)
    assert (failed.value.cause, failed.value.outcome) == (Cause.UNSENT, Outcome.NOT_EXECUTED)


@pytest.mark.parametrize(
    "words",
    [b"", b"HTTP/1.1 200 OK\r\n", answer(length=1000), b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["nothing", "a line", "half a body", "continue"],
)
async def test_an_answer_that_does_not_come_in_time_is_a_timeout(
    words: bytes, feishu: Feishu, spoken: Spoken
) -> None:
    spoken.stays = True
    error = await failure(feishu, spoken, words, timeout=0.2)
    assert isinstance(error, AttemptFailed)
    assert (error.type, error.outcome) == (ErrorType.TIMEOUT, Outcome.UNKNOWN)


async def test_a_refused_connection_was_never_used(feishu: Feishu, spoken: Spoken) -> None:
    server = await asyncio.start_server(spoken.serve, "127.0.0.1", 0)
    spoken.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    error = await failure(feishu, spoken)
    assert isinstance(error, AttemptFailed)
    assert (error.type, error.outcome) == (ErrorType.FEISHU_UNAVAILABLE, Outcome.NOT_EXECUTED)


async def test_a_host_that_does_not_exist_was_never_asked(feishu: Feishu, spoken: Spoken) -> None:
    spoken.url = "http://no-such-host.invalid"
    error = await failure(feishu, spoken)
    assert error.outcome is Outcome.NOT_EXECUTED


async def test_a_header_that_is_no_utf_8_can_be_shown(feishu: Feishu, spoken: Spoken) -> None:
    headers = b"Content-Type: image/\xff\r\nContent-Disposition: attachment; filename=\xb2\xe2\r\n"
    got = await get(feishu, spoken, answer(b"\0", headers=headers))
    assert got.content_type == "image/\ufffd"
    assert got.headers["content-disposition"].startswith("attachment; filename=")
    for text in (got.content_type, *got.headers.values()):
        text.encode("utf-8")


async def test_a_body_that_is_no_json_and_not_announced_as_such_is_taken_as_it_is(
    feishu: Feishu, spoken: Spoken
) -> None:
    got = await get(feishu, spoken, answer(SUCCESS, headers=b"Content-Type: text/plain\r\n"))
    assert not got.is_json
    assert got.code is None
    assert got.ok


async def test_an_error_page_that_is_announced_as_json_is_no_flaw(
    feishu: Feishu, spoken: Spoken
) -> None:
    got = await get(feishu, spoken, answer(b"<html>", b"502 Bad Gateway"))
    assert got.flaw is None
    assert not got.is_json
    assert not got.ok
