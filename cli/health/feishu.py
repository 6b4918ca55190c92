"""The way to Feishu, step by step, so that it is known which one fails."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .check import Check, healthy, unhealthy

_REQUEST: Final = (
    "HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lark-service\r\nConnection: close\r\n\r\n"
)


class StepFailed(Exception):
    """One step of the way failed: which, and why."""


async def api(domain: str, step_seconds: float, ca_file: Path | None = None) -> list[Check]:
    """Resolve, connect, shake hands and ask for any answer; no credentials are used."""
    parts = urlsplit(domain)
    took: dict[str, str] = {}
    try:
        await _walk(parts, took, step_seconds, ca_file)
    except StepFailed as error:
        message = f"{domain}: {error}"
        return [unhealthy("api", message, _hint(str(error)), **took)]
    told = ", ".join(f"{step} {words}" for step, words in took.items())
    return [healthy("api", f"{domain}: {told}", **took)]


def _hint(failure: str) -> str:
    if failure.startswith("DNS"):
        return "does the machine's resolver know the host? Is LARK_DOMAIN right?"
    return "is the way out open: firewall, proxy, certificates?"


async def _walk(
    parts: SplitResult, took: dict[str, str], seconds: float, ca_file: Path | None
) -> None:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    async with _step("DNS", took, seconds):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    async with _step("TCP", took, seconds):
        reader, writer = await asyncio.open_connection(str(found[0][4][0]), port)
    try:
        if parts.scheme == "https":
            async with _step("TLS", took, seconds):
                context = ssl.create_default_context()
                if ca_file is not None:
                    context.load_verify_locations(ca_file)
                await writer.start_tls(context, server_hostname=host)
        async with _step("HTTP", took, seconds):
            writer.write(_REQUEST.format(host=host).encode())
            line = (await reader.readline()).decode(errors="replace")
            protocol, _, status = line.partition(" ")
            if not protocol.startswith("HTTP/"):
                raise StepFailed("HTTP: what answers speaks no HTTP")
        took["HTTP"] = f"{status[:3]} in {took['HTTP']}"
    finally:
        writer.close()


@asynccontextmanager
async def _step(name: str, took: dict[str, str], seconds: float) -> AsyncIterator[None]:
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StepFailed(f"{name}: no answer within {seconds:g} s") from None
    except OSError as error:
        raise StepFailed(f"{name}: {error.strerror or type(error).__name__}") from error
    took[name] = f"{(time.monotonic() - began) * 1000:.0f} ms"
