"""`python -m sandbox.feishu`: serves until SIGTERM or SIGINT.

Besides the default app it accepts the one that LARK_APP_ID and LARK_APP_SECRET name.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

import uvloop

from .limits import WindowModel
from .options import DEFAULT_APP_ID, DEFAULT_SECRET, Options
from .server import SandboxFeishu


def main() -> None:
    """Read the arguments and serve."""
    arguments = _parser().parse_args()
    apps = {DEFAULT_APP_ID: DEFAULT_SECRET}
    app_id, secret = os.environ.get("LARK_APP_ID"), os.environ.get("LARK_APP_SECRET")
    if app_id and secret:
        apps[app_id] = secret
    options = Options(
        apps=apps,
        token_life=arguments.token_life,
        renew_below=arguments.renew_below,
        limits=not arguments.no_limits,
        window_model=arguments.window_model,
        chat_limit=None if arguments.no_limits else arguments.chat_limit,
        latency_ms=arguments.latency_ms,
        jitter_ms=arguments.jitter_ms,
    )
    uvloop.run(_serve(options, arguments.host, arguments.port))


async def _serve(options: Options, host: str, port: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    feishu = SandboxFeishu(options)
    try:
        await feishu.start(host, port)
    except OSError as error:
        sys.exit(f"sandbox: cannot listen on {host}:{port}: {error.strerror or error}")
    sys.stdout.write(f"sandbox: listening on {feishu.url}\n")
    sys.stdout.flush()
    await stopping.wait()
    await feishu.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox.feishu", description="A simulated Feishu.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--latency-ms", type=float, default=0, help="of every answer")
    parser.add_argument("--jitter-ms", type=float, default=0, help="more or less than the latency")
    parser.add_argument("--no-limits", action="store_true", help="of APIs and of chats")
    parser.add_argument("--chat-limit", type=int, default=5, help="sends a second to one chat")
    models = [model.value for model in WindowModel]
    parser.add_argument(
        "--window-model", type=WindowModel, default="sliding", help="/".join(models)
    )
    parser.add_argument("--token-life", type=float, default=7200, help="seconds")
    parser.add_argument("--renew-below", type=float, default=1800, help="seconds")
    return parser


if __name__ == "__main__":
    main()
