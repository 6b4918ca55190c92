"""Requests and answers on their way."""

import asyncio
import time
from typing import Any

import pytest

from tests.support.feishu import Feishu, until

USER = "/open-apis/contact/v3/users/ou_a"


async def test_a_request_on_its_way_has_not_arrived(feishu: Feishu) -> None:
    await feishu.control("POST", "latency", {"before_ms": [300, 300]})
    last = feishu.world.ledger.last_number
    call = asyncio.create_task(feishu.call("GET", USER))
    began = time.monotonic()
    # The control endpoint is not behind this network.
    assert (await feishu.control("GET", "stats"))["limits"] == []
    assert feishu.world.ledger.last_number == last
    feishu.clock.turn(7)
    await call
    assert time.monotonic() - began >= 0.28
    entry = (await feishu.control("GET", "ledger"))["entries"][-1]
    assert entry["time"] == feishu.clock.now


async def test_an_answer_on_its_way_was_judged_before(feishu: Feishu) -> None:
    await feishu.control("POST", "latency", {"after_ms": [300, 300]})
    began = time.monotonic()
    call = asyncio.create_task(feishu.call("GET", USER))
    last = feishu.world.ledger.last_number
    await until(lambda: feishu.world.ledger.last_number > last or call.done())
    assert not call.done()
    (row,) = (await feishu.control("GET", "stats"))["limits"]
    assert row["accepted"] == 1
    await call
    assert time.monotonic() - began >= 0.28


async def test_latency_is_shown_and_set_anew_as_a_whole(feishu: Feishu) -> None:
    network = {
        "before_ms": [10, 80],
        "after_ms": [5, 9],
        "tail": {"share": 0.01, "ms": 380},
        "seed": 7,
    }
    await feishu.control("POST", "latency", {"ms": 2, **network})
    assert (await feishu.control("GET", "state"))["latency"] == {"ms": 2, "jitter_ms": 0, **network}
    await feishu.control("POST", "latency", {"ms": 3})
    shown = (await feishu.control("GET", "state"))["latency"]
    assert (shown["ms"], shown["before_ms"], shown["after_ms"]) == (3, [0, 0], [0, 0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"before_ms": [80, 10]},
        {"before_ms": [-1, 10]},
        {"after_ms": [1]},
        {"after_ms": "fast"},
        {"tail": {"share": 2}},
        {"tail": 3},
        {"seed": "x"},
    ],
)
async def test_a_wrong_network_changes_nothing(feishu: Feishu, wrong: dict[str, Any]) -> None:
    got = await feishu.raw("POST", "/_sandbox/latency", json={"ms": 9, **wrong})
    assert got.status == 400
    assert (await feishu.control("GET", "state"))["latency"]["ms"] == 0
