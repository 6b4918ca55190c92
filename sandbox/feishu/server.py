"""The simulated Feishu as an HTTP server."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from schemas.apis import Api, ApiTable

from .answers import failure, not_found, render
from .control import PREFIX, Control
from .events import Events
from .faults import NO_FAULT, Wire
from .forms import read_form
from .ledger import Capture, Entry
from .options import Options
from .request import ApiRequest
from .wire import deliver
from .world import World

_BODY_BYTES = 64 * 1024 * 1024
_CAPTURED_BYTES = 64 * 1024


class SandboxFeishu:
    """One simulated Feishu; `world` is its state, to be read and changed in the same process."""

    def __init__(self, options: Options | None = None, table: ApiTable | None = None) -> None:
        self.world = World(options or Options(), table or ApiTable.load())
        self._control = Control(self.world)
        self._log_ids = _LogIds()
        self._events = Events()
        self._runner: web.ServerRunner | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end; empty before `start`."""
        return self._url

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any free one. Raises OSError when the port is taken."""
        server = web.Server(
            self._handle,
            request_factory=_large_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=75,
        )
        self._runner = web.ServerRunner(server, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        self._url = f"http://{bound_host}:{bound_port}"

    async def stop(self) -> None:
        """Close the port and all connections."""
        await self._events.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        path, _, query_string = http.raw_path.partition("?")
        body = await http.read()
        if path.startswith(PREFIX):
            shown = self._control.handle(http.method, path, http.query, body)
            self._events.send(self.world.tickets.pushes)
            return shown
        if on_its_way := self.world.network.before():
            await asyncio.sleep(on_its_way)
        api = self.world.find(http.method, path)
        request = ApiRequest(
            method=http.method,
            path=path,
            query_string=query_string,
            content_type=http.headers.get("Content-Type", ""),
            authorization=http.headers.get("Authorization", ""),
            body=body,
            api=api or Api(http.method, ""),
            number=self.world.ledger.next_number(),
        )
        self._record(http, request)
        try:
            return await self._answer(http, request, known=api is not None)
        finally:
            self.world.finish(request)

    async def _answer(
        self, http: web.BaseRequest, request: ApiRequest, *, known: bool
    ) -> web.StreamResponse:
        answer, fault = not_found(), NO_FAULT
        if known:
            if request.api.multipart and request.is_multipart and not await read_form(request):
                answer = failure(400, 9499, "Bad Request: the body is no valid form")
            else:
                answer, fault = self.world.decide(request)
                self._events.send(self.world.tickets.pushes)
        # Rendered before any waiting, so that the answer shows the moment of acting.
        response = render(answer, self._log_ids.of(request.number))
        execution = fault.delay + self.world.delay()
        if self.world.subjects.holds(request):
            self._release_after(execution, request)
        if delay := execution + self.world.network.after():
            await asyncio.sleep(delay)
        if fault.wire in (Wire.PLAIN, Wire.HUGE):
            self.world.ledger.answered(request.number, answer.status, answer.code)
        return await deliver(http, response, fault.wire)

    def _release_after(self, seconds: float, request: ApiRequest) -> None:
        release = self.world.subjects.release
        if not seconds:
            release(request)
            return
        # By a timer, because a caller who hangs up does not end the write.
        asyncio.get_running_loop().call_later(seconds, release, request)

    def _record(self, http: web.BaseRequest, request: ApiRequest) -> None:
        self.world.identify(request)
        ledger = self.world.ledger
        entry = Entry(
            number=request.number,
            time=self.world.clock(),
            method=request.method,
            path=request.path,
            template=request.api.template,
            app_id=request.app_id,
            token=request.token,
            body_hash=request.body_hash,
            key=request.key,
            tenant=request.tenant,
        )
        ledger.write(entry)
        body = request.body[:_CAPTURED_BYTES]
        ledger.captures.append(
            Capture(request.number, request.method, http.raw_path, http.raw_headers, body)
        )


@dataclass(slots=True)
class _LogIds:
    """Log ids end with the request's number in the ledger, in 12 hexadecimal digits."""

    run: str = ""
    _second: int = 0
    _stamp: str = ""

    def __post_init__(self) -> None:
        self.run = secrets.token_hex(3).upper()

    def of(self, number: int) -> str:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
        return f"{self._stamp}{self.run}{number:012X}"


def _large_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=_BODY_BYTES
    )
