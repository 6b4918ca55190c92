"""How much the simulated Feishu can take by itself, so that it is seen not to be the bottleneck.

`python -m benchmarks.throughput.upstream` reads LARK_DOMAIN and LARK_TOKEN, prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time

import aiohttp
import uvloop

from .driver import CALL
from .readings import cpu_seconds

CONNECTIONS = 64


async def load(pid: int, seconds: float) -> dict[str, float]:
    """Requests a second on 64 connections, and what 10,000 of them cost the server."""
    url = f"{os.environ['LARK_DOMAIN']}{CALL['path']}?receive_id_type=chat_id"
    headers = {
        "Authorization": f"Bearer {os.environ['LARK_TOKEN']}",
        "Content-Type": "application/json",
    }
    body = json.dumps(CALL["body"]).encode()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        end = time.perf_counter() + seconds

        async def send() -> int:
            sent = 0
            while time.perf_counter() < end:
                async with session.post(url, data=body) as response:
                    await response.read()
                response.raise_for_status()
                sent += 1
            return sent

        before = cpu_seconds([pid])
        requests = sum(await asyncio.gather(*(send() for _ in range(CONNECTIONS))))
        used = cpu_seconds([pid]) - before
    return {"rate": requests / seconds, "cpu_10k": used / requests * 10_000}


def main() -> None:
    """Measure once and print the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.throughput.upstream", description=__doc__)
    parser.add_argument("pid", type=int, help="of the server")
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(load(arguments.pid, arguments.seconds))))


if __name__ == "__main__":
    main()
