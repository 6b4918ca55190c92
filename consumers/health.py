"""/livez, /readyz and /metrics over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.metrics import Metrics

LAG_LIMIT = 10.0
"""Seconds that the event loop may be late before the process counts as stuck."""

log = structlog.get_logger()

Checks = Mapping[str, Callable[[], bool]]
"""What must hold for the process to be ready, by name."""


class Health:
    """Answers probes. Liveness looks at the event loop alone; readiness at the checks."""

    def __init__(self, checks: Checks, metrics: Metrics) -> None:
        self._checks = checks
        self._metrics = metrics

    @asynccontextmanager
    async def serve(self, host: str, port: int) -> AsyncIterator[int | None]:
        """Serve while the block runs; yields the port, or None where it is taken.

        Calls matter more than probes: without its port the process works on and says so.
        """
        app = web.Application()
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._serve_metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            bound: int | None = runner.addresses[0][1]
            log.info("health endpoint ready", host=host, port=bound)
        except OSError as error:
            bound = None
            log.warning("health endpoint not served", host=host, port=port, reason=error.strerror)
        measuring = asyncio.create_task(self._measure_lag())
        try:
            yield bound
        finally:
            measuring.cancel()
            await runner.cleanup()

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(1)
            self._metrics.loop_lag.set(max(0.0, loop.time() - before - 1))

    async def _livez(self, request: web.Request) -> web.Response:
        # To be answered at all, the event loop must be running.
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        states = {name: check() for name, check in self._checks.items()}
        text = "".join(f"[{'+' if up else '-'}]{name}\n" for name, up in states.items())
        return web.Response(text=text, status=200 if all(states.values()) else 503)

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
