"""A gateway that observes the limits makes nobody wait, and tells what would have waited."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from sandbox.feishu import SandboxFeishu
from schemas import names
from tests.support.calls import read
from tests.support.command import run
from tests.support.gateway import Gateway, SetLimits
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer

SLOW_API = "PATCH /open-apis/im/v1/chats/:chat_id/announcement"


@pytest.fixture(scope="module")
def gateway_environment(
    gateway_environment: dict[str, str], set_limits: SetLimits
) -> dict[str, str]:
    limits = set_limits({SLOW_API: "1/30"})
    return gateway_environment | limits | {"LARK_SERVICE_LIMITS": "observe"}


async def test_a_refused_call_is_sent_again_when_feishu_says_and_not_before(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    place = unique("sim_rate_limited")
    deadline = int((time.time() + 4.5) * 1000)
    reply = await producer.call(read(place), headers={names.HEADER_DEADLINE: deadline})
    assert_error(reply, "rate_limited", "not_executed", retryable=True)
    assert 2 <= len(requests_of(simulated, place)) <= 5


async def test_nobody_waits_and_what_would_have_been_is_logged(
    producer: Producer, gateway: Gateway, gateway_environment: dict[str, str], tmp_path: Path
) -> None:
    call = {"method": "PATCH", "path": "/open-apis/im/v1/chats/oc_1/announcement", "body": {}}
    calls = [call | {"path": call["path"].replace("oc_1", unique("oc"))} for _ in range(4)]
    async with asyncio.timeout(10):
        replies = await asyncio.gather(*(producer.call(one) for one in calls))
    assert max(reply.json["meta"]["limit_wait_ms"] for reply in replies) < 2000

    needed = ("REDIS_URL", "RABBITMQ_URL", "DATABASE_URL")
    settings = {name: gateway_environment[name] for name in needed}
    ran = await run("limits", "--json", folder=tmp_path, **settings)
    assert (ran.code, ran.json["modes"], ran.json["buckets"]) == (0, {"observe": 1}, [])

    assert await gateway.terminate() == 0
    [told] = [line for line in gateway.events("limits_observed") if line["tier"] == "1/30"]
    assert (told["asked"], told["calls"], told["would_wait"]) == (4, 4, 3)
    assert (told["rejections"], told["fits"]) == (0, "undecided")
    assert 30 <= told["longest_wait"] < 62
    assert told["scope"] == "the calls of this process"
