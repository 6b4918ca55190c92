"""What a producer sees while RabbitMQ dies, takes no publishes or a process runs out of files."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from typing import Any

import aiormq
import pytest
from aiormq.abc import DeliveredMessage

from sandbox.feishu import SandboxFeishu
from sandbox.stack import Stack
from schemas import names
from tests.support.amqp import Exactly, Message
from tests.support.calls import invite, read
from tests.support.gateway import Gateway
from tests.support.judging import requests_of, unique
from tests.support.producer import Producer
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def own_broker(idle_stack: Stack) -> None:
    if idle_stack.is_given("rabbitmq"):
        pytest.skip("RABBITMQ_URL names a broker that is not ours to harm")


async def test_replies_wait_for_a_broker_that_takes_no_publishes_and_no_call_is_made_again(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu, idle_stack: Stack
) -> None:
    def use_memory_up_to(limit: str) -> None:
        idle_stack.rabbitmq.control("set_vm_memory_high_watermark", "absolute", limit)

    place = unique("sim_slow_3s")
    waiting = asyncio.create_task(producer.call(invite(place), within=60))
    await eventually(lambda: bool(requests_of(simulated, place)))
    await asyncio.to_thread(use_memory_up_to, "1")
    try:
        await eventually(lambda: bool(gateway.events("publish not confirmed")), within=30)
        assert not waiting.done()
    finally:
        await asyncio.to_thread(use_memory_up_to, "2GB")
    assert (await waiting).json["ok"]
    assert len(requests_of(simulated, place)) == 1
    assert (await producer.call(read())).json["ok"]


async def test_a_process_that_may_open_no_more_files_makes_no_call_twice_and_serves_on(
    gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    _, hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    open_files = len(os.listdir(f"/proc/{gateway.pid}/fd"))
    places = [unique("sim_slow_1s") for _ in range(5)]
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (open_files, hard))
    try:
        waiting = [asyncio.create_task(producer.call(invite(place))) for place in places]
        replies = await asyncio.gather(*waiting)
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (hard, hard))
    for place, reply in zip(places, replies, strict=True):
        made = len(requests_of(simulated, place))
        assert made == reply.json["ok"], reply.json
        assert made or reply.error["outcome"] == "not_executed"
    assert not all(reply.json["ok"] for reply in replies)
    assert (await producer.call(read())).json["ok"]


async def test_calls_that_were_confirmed_survive_a_broker_that_is_killed(
    gateway: Gateway, rabbitmq_url: str, simulated: SandboxFeishu, idle_stack: Stack
) -> None:
    ids = [f"kept-{number}" for number in range(20)]
    queue = "lark.reply.kept"
    channel = await open_channel(rabbitmq_url)
    await channel.queue_declare(queue, durable=True)
    slow = unique("sim_slow_1s")
    for call_id in ids:
        properties = Exactly(reply_to=queue, correlation_id=call_id, message_id=call_id)
        await channel.basic_publish(
            json.dumps(read(slow)).encode(),
            exchange=names.CALLS_EXCHANGE,
            routing_key="default.bulk",
            properties=properties,
        )
    await eventually(lambda: bool(requests_of(simulated, slow)))
    await asyncio.to_thread(idle_stack.rabbitmq.kill)
    await asyncio.to_thread(idle_stack.rabbitmq.start)
    await gateway.ready()
    answered: dict[str, Any] = {}

    async def take(message: DeliveredMessage) -> None:
        reply = Message.of(message)
        answered[str(reply.properties.correlation_id)] = reply.json["ok"]

    channel = await open_channel(rabbitmq_url)
    await channel.basic_consume(queue, take, no_ack=True)
    await eventually(lambda: len(answered) == len(ids), within=20)
    assert answered == dict.fromkeys(ids, True)
    await channel.queue_delete(queue)
    await channel.connection.close()


async def open_channel(url: str) -> Any:
    return await (await aiormq.connect(url)).channel()
