"""Calls in a closed loop: so many callers, each with one call under way. A process of its own.

`python -m benchmarks.throughput.driver …` reads RABBITMQ_URL and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

from . import amqp
from .readings import busy_seconds, cpu_seconds, watched

EXCHANGE = "lark.calls"
FIRST_ANSWER_SECONDS = 60.0
DRAIN_SECONDS = 15.0
CALL = {
    "method": "POST",
    "path": "/open-apis/im/v1/messages",
    "query": {"receive_id_type": "chat_id"},
    "body": {
        "receive_id": "oc_a0553eda9014c201e6969b478895c230",
        "msg_type": "text",
        "content": json.dumps({"text": "Build 4711 of lark-service has passed. " * 8}),
    },
}
_SUCCESS = b'{"ok":true'


@dataclass(frozen=True, slots=True)
class Result:
    """One measured window. Times in seconds; `cpu` by the names that were asked for."""

    seconds: float
    calls: int
    failed: int
    unanswered: int
    p50: float
    p99: float
    slowest: float
    cpu: Mapping[str, float]
    busy: float
    """CPU time of the whole machine in the window."""


@dataclass(slots=True)
class _Reading:
    at: float
    cpu: dict[str, float]
    busy: float


class Driver:
    """Keeps *callers* calls under way until it is stopped."""

    def __init__(self, template: amqp.Template, callers: int) -> None:
        self._template = template
        self._callers = callers
        self._producer: amqp.Producer | None = None
        self._started: dict[int, float] = {}
        self._next = 0
        self._ready: list[bytes] = []
        self._calling = True
        self.first = asyncio.Event()
        self.idle = asyncio.Event()
        self.latencies: list[float] | None = None
        self.failed = 0

    @property
    def unanswered(self) -> int:
        """Calls under way."""
        return len(self._started)

    def begin(self, producer: amqp.Producer) -> None:
        """Make the first call of every caller."""
        self._producer = producer
        for _ in range(self._callers):
            self._call(time.perf_counter())
        self.flush()

    def stop(self) -> None:
        """Make no more calls; `idle` is set when the last one is answered."""
        self._calling = False
        if not self._started:
            self.idle.set()

    def on_reply(self, number: int, body: bytes) -> None:
        """Take one answer and make the caller's next call."""
        now = time.perf_counter()
        started = self._started.pop(number)
        if not body.startswith(_SUCCESS):
            self.failed += 1
        if self.latencies is not None:
            self.latencies.append(now - started)
        if self._calling:
            self._call(now)
        elif not self._started:
            self.idle.set()
        self.first.set()

    def flush(self) -> None:
        """Write what was prepared, all at once."""
        if self._ready and self._producer is not None:
            self._producer.write(b"".join(self._ready))
            self._ready.clear()

    def _call(self, now: float) -> None:
        number = self._next
        self._next += 1
        self._started[number] = now
        self._ready.append(self._template.publish(number))


async def drive(
    url: str,
    routing_key: str,
    callers: int,
    *,
    warm_up: float,
    seconds: float,
    watch: Mapping[str, Sequence[int]],
) -> Result:
    """Call for *seconds* after a warm-up that begins with the first answer."""
    body = json.dumps(CALL).encode()
    driver = Driver(amqp.Template(EXCHANGE, routing_key, body, secrets.token_hex(4)), callers)
    producer = await amqp.connect(url, driver.on_reply, driver.flush)
    driver.begin(producer)
    async with asyncio.timeout(FIRST_ANSWER_SECONDS):
        await driver.first.wait()
    await asyncio.sleep(warm_up)
    before = _read(watch)
    latencies: list[float] = []
    driver.latencies = latencies
    await asyncio.sleep(seconds)
    driver.latencies = None
    after = _read(watch)
    driver.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await driver.idle.wait()
    await producer.close()
    return _result(before, after, sorted(latencies), driver)


def _read(watch: Mapping[str, Sequence[int]]) -> _Reading:
    cpu = {name: cpu_seconds(pids) for name, pids in watch.items()}
    return _Reading(time.perf_counter(), cpu | {"driver": time.process_time()}, busy_seconds())


def _result(
    before: _Reading, after: _Reading, latencies: Sequence[float], driver: Driver
) -> Result:
    if not latencies:
        raise RuntimeError("no call was answered in the measured time")
    return Result(
        seconds=after.at - before.at,
        calls=len(latencies),
        failed=driver.failed,
        unanswered=driver.unanswered,
        p50=latencies[len(latencies) // 2],
        p99=latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)],
        slowest=latencies[-1],
        cpu={name: after.cpu[name] - before.cpu[name] for name in after.cpu},
        busy=after.busy - before.busy,
    )


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks.throughput.driver", description=__doc__)
    parser.add_argument("routing_key")
    parser.add_argument("callers", type=int)
    parser.add_argument("--warm-up", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--watch", type=watched, default={}, help="name=pid,pid;name=pid")
    return vars(parser.parse_args())


def main() -> None:
    """Drive once and print the result."""
    result = uvloop.run(drive(os.environ["RABBITMQ_URL"], **_arguments()))
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
