"""Faults scripted over the control endpoint."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.support.feishu import OTHER_APP, OTHER_SECRET, SEND, TENANT_TOKEN, Feishu


async def test_a_scripted_answer_replaces_the_next_one(feishu: Feishu) -> None:
    await feishu.control("POST", "faults", {"status": 503, "code": 2200})
    got = await feishu.send()
    assert (got.status, got.code) == (503, 2200)
    assert not feishu.world.ledger.effects
    assert (await feishu.send()).code == 0


async def test_a_rule_counts_only_what_it_matches(feishu: Feishu) -> None:
    rule = {"method": "post", "template": SEND, "count": 2, "skip": 1, "status": 500}
    await feishu.control("POST", "faults", rule)
    assert (await feishu.call("GET", "/open-apis/bot/v3/info")).status == 200
    assert [(await feishu.send()).status for _ in range(4)] == [200, 500, 500, 200]


async def test_rules_are_used_up_in_order(feishu: Feishu) -> None:
    await feishu.control("POST", "faults", [{"status": 500}, {"code": 7}])
    left = (await feishu.control("GET", "state"))["faults"]
    assert [rule["left"] for rule in left] == [1, 1]
    assert [(await feishu.send()).status for _ in range(3)] == [500, 200, 200]
    assert (await feishu.control("GET", "state"))["faults"] == []


async def test_a_rule_can_be_for_one_app(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    await feishu.control("POST", "faults", {"app_id": OTHER_APP, "status": 500})
    assert (await feishu.send()).status == 200
    assert (await feishu.send(token=other)).status == 500


async def test_the_token_endpoint_can_fail_too(feishu: Feishu) -> None:
    rule = {"template": TENANT_TOKEN, "status": 200, "code": 2200, "msg": "Internal Error"}
    await feishu.control("POST", "faults", rule)
    assert (await feishu.get_token())["code"] == 2200
    assert (await feishu.get_token())["code"] == 0


async def test_headers_and_a_raw_body_can_be_given(feishu: Feishu) -> None:
    rule = {
        "status": 429,
        "body": "slow down",
        "content_type": "text/plain",
        "headers": {"x-ogw-ratelimit-reset": "7"},
    }
    await feishu.control("POST", "faults", rule)
    got = await feishu.send()
    assert (got.status, got.content) == (429, b"slow down")
    assert got.headers["x-ogw-ratelimit-reset"] == "7"


@pytest.mark.parametrize(
    ("rule", "effects"),
    [
        ({"cut": "before"}, 0),
        ({"cut": "after"}, 1),
        ({"wire": "truncated"}, 1),
        ({"wire": "cut", "acts": False}, 0),
    ],
)
async def test_the_connection_can_be_cut_before_or_after_acting(
    feishu: Feishu, rule: dict[str, Any], effects: int
) -> None:
    await feishu.control("POST", "faults", rule)
    with pytest.raises(aiohttp.ClientError):
        await feishu.send()
    assert sum(feishu.world.ledger.effects.values()) == effects


async def test_an_error_can_hide_a_success(feishu: Feishu) -> None:
    await feishu.control("POST", "faults", {"status": 504, "body": "timeout", "acts": True})
    assert (await feishu.send(uuid="key-1")).status == 504
    assert (await feishu.send(uuid="key-1")).code == 0
    assert await feishu.control("GET", "effects") == {"key-1": 1}


async def test_an_answer_can_be_late(feishu: Feishu) -> None:
    await feishu.control("POST", "faults", {"delay_ms": 700})
    assert await seconds_of_a_send(feishu) >= 0.7
    assert await seconds_of_a_send(feishu) < 0.7


async def test_every_answer_can_be_late(feishu: Feishu) -> None:
    await feishu.control("POST", "latency", {"ms": 700, "jitter_ms": 100})
    assert await seconds_of_a_send(feishu) >= 0.6
    await feishu.control("POST", "latency", {"ms": 0})
    assert await seconds_of_a_send(feishu) < 0.6


async def test_scripted_faults_can_be_taken_back(feishu: Feishu) -> None:
    await feishu.control("POST", "faults", {"status": 500, "count": 100})
    await feishu.control("DELETE", "faults")
    assert (await feishu.send()).status == 200


@pytest.mark.parametrize(
    "rule",
    [
        {"stat": 500},
        {"status": "500"},
        {"cut": "sometimes"},
        {"wire": "burning"},
        {"body": "without a status"},
        [{"status": 500}, 7],
    ],
)
async def test_a_wrong_rule_is_refused_with_a_sentence(feishu: Feishu, rule: Any) -> None:
    got = await feishu.raw("POST", "/_sandbox/faults", json=rule)
    assert got.status == 400
    assert len(got.json["error"]) > 10


async def seconds_of_a_send(feishu: Feishu) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await feishu.send()).code == 0
    return loop.time() - started
