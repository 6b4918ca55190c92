"""`lark-service serve` where RabbitMQ is away or holds other objects, and where its log is lost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import aiormq
import pytest

from sandbox.stack.ports import free_ports
from schemas import names
from tests.support.calls import read
from tests.support.command import run
from tests.support.forks import fork
from tests.support.producer import Producer
from tests.support.waiting import eventually

NOBODY = "amqp://127.0.0.1:1/"


async def test_objects_with_other_arguments_are_named_and_end_it(
    gateway_environment: dict[str, str], rabbitmq_url: str, tmp_path: Path
) -> None:
    connection = await aiormq.connect(rabbitmq_url)
    channel = await connection.channel()
    queue = names.calls_queue("default", "bulk")
    await channel.queue_declare(queue, durable=True)

    ran = await run("serve", folder=tmp_path, **gateway_environment)
    await channel.queue_delete(queue)
    await connection.close()

    assert ran.code == 2
    told = f"ConfigError: RabbitMQ holds queue {queue} with other arguments than the gateway's"
    assert told in ran.err
    assert "Drain and delete it" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_that_waits_for_rabbitmq_ends_when_it_is_told_to(
    number: signal.Signals, gateway_environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        settings = gateway_environment | {"RABBITMQ_URL": NOBODY}
        process = await fork("serve", env=settings, cwd=tmp_path, stdout=file, stderr=file)
    await eventually(lambda: b"cannot use RabbitMQ" in log.read_bytes(), within=20)
    process.send_signal(number)
    async with asyncio.timeout(20):
        assert await process.wait() == 0


async def test_a_log_that_cannot_be_written_stops_no_call(
    gateway_environment: dict[str, str], rabbitmq_url: str, tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    settings = gateway_environment | {"LARK_SERVICE_HEALTH_PORT": str(port), "LOG_LEVEL": "DEBUG"}
    with open("/dev/full", "wb") as full:  # noqa: ASYNC230 - it never waits
        process = await fork("serve", env=settings, cwd=tmp_path, stdout=full, stderr=full)
    try:
        await is_ready(port)
        producer = await Producer.open(rabbitmq_url)
        assert (await producer.call(read())).json["ok"]
        assert (await producer.call(b"")).error["type"] == "invalid_call"
        await producer.close()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        process.kill()
        await process.wait()


async def is_ready(port: int) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        while True:
            try:
                async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.02)
