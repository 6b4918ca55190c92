"""Each example runs as its reader would run it, against a gateway's stand-in."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas import names
from schemas.call import Call
from tests.support.standin import Taken, answering, declare, failure, success

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
QUEUES = [names.calls_queue("default", lane) for lane in names.LANES]


def node() -> list[str]:
    """The Node example, where Node and its one package are installed."""
    program = shutil.which("node")
    folder = EXAMPLES / "node_amqplib"
    if program is None or not (folder / "node_modules" / "amqplib").is_dir():
        pytest.skip("Node's example needs node and `npm install` in examples/node_amqplib")
    return [program, str(folder / "call.js")]


def command(example: str) -> list[str]:
    return node() if example == "node" else [sys.executable, str(EXAMPLES / example)]


async def run(example: str, url: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command(example),
        "oc_test",
        env={
            **os.environ,
            "RABBITMQ_URL": url,
            "PYTHONPATH": str(EXAMPLES.parent / "client" / "src"),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return int(process.returncode or 0), output.decode()


def sent(taken: Taken) -> dict[str, Any]:
    return success(taken, {"message_id": "om_1"})


@pytest.fixture(scope="module")
async def broker(rabbitmq_url: str) -> str:
    """A vhost that holds what a gateway declares."""
    await declare(rabbitmq_url, "default")
    return rabbitmq_url


@pytest.mark.parametrize("example", ["python_client.py", "python_pika.py", "node"])
async def test_it_makes_one_call_and_hands_one_over(broker: str, example: str) -> None:
    async with answering(broker, *QUEUES, answer=sent) as gateway:
        status, output = await run(example, broker)

    assert status == 0, output
    assert "sent om_1" in output
    call, handed_over = gateway.taken
    assert "handed over" in output
    assert handed_over.call_id in output
    for taken in (call, handed_over):
        assert Call.model_validate(taken.call).body["receive_id"] == "oc_test"
        assert taken.properties.message_type == names.CALL_TYPE
        assert taken.properties.delivery_mode == 2
        assert taken.properties.user_id == "lark"
        assert names.CALL_ID.fullmatch(taken.call_id)
    assert call.routing_key == "default.interactive"
    assert names.may_reply_to(str(call.properties.reply_to))
    assert int(str(call.properties.expiration)) == pytest.approx(10_000, abs=1000)
    assert isinstance(call.headers[names.HEADER_DEADLINE], int)
    assert handed_over.routing_key == "default.bulk"
    assert not handed_over.properties.reply_to


@pytest.mark.parametrize("example", ["python_client.py", "python_pika.py", "node"])
async def test_it_tells_why_a_call_failed(broker: str, example: str) -> None:
    async with answering(broker, *QUEUES, answer=lambda t: failure(t, "permission_denied")):
        status, output = await run(example, broker)

    assert status == 1
    assert "permission_denied" in output
