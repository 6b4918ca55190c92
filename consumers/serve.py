"""Runs one gateway process until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import structlog
import uvloop

from gateway.metrics import Metrics
from gateway.settings import Settings

from .app import Parts, build_parts, open_process
from .health import Health
from .logs import configure_logging
from .reload import Reload

log = structlog.get_logger()


def serve(read: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT; the second signal ends it at once. Raises ConfigError.

    *read* reads the settings, and on SIGHUP again.
    """
    settings = read()
    parts = build_parts(settings)
    configure_logging(settings.log_level, settings.log_format, parts.redactor)
    # It would hold every token that is in use.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _calm_collector()
    uvloop.run(_serve(settings, parts, read))


def _calm_collector() -> None:
    """Look for cycles less often, and never among what lives as long as the process.

    A call makes some hundred objects, hardly one of them in a cycle; by default Python would look
    through the whole API catalogue every few seconds. It saves 5 % of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _serve(settings: Settings, parts: Parts, read: Callable[[], Settings]) -> None:
    stop, at_once = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    reload = Reload(settings, read, parts.apps, parts.keys, parts.redactor)
    loop.add_signal_handler(signal.SIGHUP, reload.ask)
    metrics = Metrics()
    metrics.build.labels(_version()).set(1)
    if parts.catalogue.unlisted:
        log.warning("limits for unlisted APIs", apis=parts.catalogue.unlisted)
    async with open_process(settings, parts, metrics) as process:
        metrics.calls_held.set_function(lambda: process.calls.held)
        health = Health(process.checks, metrics)
        async with (
            health.serve(settings.health_host, settings.health_port),
            asyncio.TaskGroup() as group,
        ):
            reloading = group.create_task(reload.run(process.apps.reread))
            await process.run(stop, at_once)
            reloading.cancel()


def _version() -> str:
    try:
        return version("lark-service")
    except PackageNotFoundError:
        return "unknown"
