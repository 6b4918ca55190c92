"""`lark-service sandbox`: a simulated Feishu to develop against."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Annotated

import typer

from cli.exits import CANNOT_REACH
from sandbox.feishu.limits import WindowModel
from sandbox.feishu.options import DEFAULT_APP_ID, DEFAULT_SECRET, Options
from sandbox.feishu.server import SandboxFeishu

_CHAT_LIMIT = 5

app = typer.Typer(help="A simulated Feishu.", invoke_without_command=True)


@app.callback()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any free port.", min=0, max=65535)] = 8900,
    latency: Annotated[float, typer.Option(help="Milliseconds that every answer takes.")] = 0,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Never answer 429.")] = False,
    window_model: Annotated[
        WindowModel, typer.Option(help="How the simulated limits count.")
    ] = WindowModel.SLIDING,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Serve until SIGTERM or SIGINT; the app of LARK_APP_ID and LARK_APP_SECRET is known to it."""
    options = Options(
        apps=_apps(),
        limits=not no_limits,
        chat_limit=None if no_limits else _CHAT_LIMIT,
        window_model=window_model,
        latency_ms=latency,
    )
    try:
        asyncio.run(_serve(SandboxFeishu(options), host, port, as_json))
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {host}:{port}: {error.strerror or error}\n")
        raise typer.Exit(CANNOT_REACH) from error


def _apps() -> dict[str, str]:
    apps = {DEFAULT_APP_ID: DEFAULT_SECRET}
    app_id, secret = os.environ.get("LARK_APP_ID"), os.environ.get("LARK_APP_SECRET")
    if app_id and secret:
        apps[app_id] = secret
    return apps


def _account(url: str) -> dict[str, str]:
    """Variables for the built-in app, whose secret is a sample and no secret."""
    return {
        "LARK_DOMAIN": url,
        "LARK_APP_ID": DEFAULT_APP_ID,
        "LARK_APP_SECRET": DEFAULT_SECRET,
    }


async def _serve(feishu: SandboxFeishu, host: str, port: int, as_json: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await feishu.start(host, port)
    if as_json:
        sys.stdout.write(json.dumps(_account(feishu.url)) + "\n")
    else:
        sys.stdout.write(f"A simulated Feishu listens on {feishu.url}; its app for .env:\n")
        sys.stdout.writelines(f"{name}={value}\n" for name, value in _account(feishu.url).items())
    sys.stdout.flush()
    try:
        await stopping.wait()
    finally:
        await feishu.stop()
