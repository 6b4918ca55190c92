"""A used-up quota of the month stops the app, until somebody says that it is back."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from gateway.redis_client import connect
from sandbox.feishu import DEFAULT_APP_ID, SandboxFeishu
from tests.support.calls import change, invite, read, send
from tests.support.gateway import Gateway, api_requests
from tests.support.judging import assert_error, requests_of, unique
from tests.support.producer import Producer

STOPS = "{lark:quota}:stops"


async def test_a_used_up_quota_is_asked_about_once_and_ends_within_seconds_where_it_is_deleted(
    producer: Producer, gateway: Gateway, simulated: SandboxFeishu, redis_url: str
) -> None:
    place = unique("sim_quota")
    reply = await producer.call(send(place))
    assert_error(reply, "quota_exhausted", "not_executed", retryable=False)
    assert reply.error["code"] == reply.json["response"]["body"]["code"] == 99991403
    assert reply.json["meta"]["attempts"] == 1
    assert len(requests_of(simulated, place)) == 1

    before = len(api_requests(simulated))
    for build in (send, change, invite):
        refused = await producer.call(build("oc_1"))
        assert_error(refused, "quota_exhausted", "not_executed", retryable=False)
        assert refused.json["response"] is None
        assert refused.json["meta"]["attempts"] == 0
        assert "(UTC+8)" in refused.error["hint"]
        assert not producer.letters_of(refused)
    assert len(api_requests(simulated)) == before
    assert (await producer.call(read("ou_1"))).json["ok"]

    async with connect(redis_url) as redis:
        await _delete(redis)
    async with asyncio.timeout(10):
        while not (await producer.call(send("oc_1"))).json["ok"]:  # noqa: ASYNC110  it looks by itself
            await asyncio.sleep(0.1)
    assert [line["of"] for line in gateway.events("quota_exhausted")] == [f"app {DEFAULT_APP_ID}"]
    assert [line["of"] for line in gateway.events("quota_back")] == [f"app {DEFAULT_APP_ID}"]


async def _delete(redis: Redis) -> None:
    assert await redis.delete(STOPS) == 1
