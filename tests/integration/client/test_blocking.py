from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from lark_service_client import (
    BlockingLarkClient,
    ConnectionLost,
    FeishuError,
    LarkError,
    NotConnected,
    Reply,
)

from schemas import names
from tests.support.standin import answering, failure, success
from tests.support.waiting import eventually

MESSAGES = "/open-apis/im/v1/messages"
DEFAULT = names.calls_queue("default", "interactive")
Result = TypeVar("Result")


async def elsewhere(work: Callable[[], Result]) -> Result:
    """Run blocking code beside the loop that plays the gateway."""
    return await asyncio.to_thread(work)


async def test_eight_threads_share_one_client_and_get_their_own_answers(broker: str) -> None:
    def work() -> list[Reply]:
        with BlockingLarkClient(broker) as lark, ThreadPoolExecutor(8) as threads:
            return list(
                threads.map(
                    lambda n: lark.call("POST", MESSAGES, body={"n": n}, call_id=f"c{n}"),
                    range(400),
                )
            )

    async with answering(
        broker, DEFAULT, answer=lambda taken: success(taken, taken.call["body"])
    ) as gateway:
        replies = await elsewhere(work)

    assert [reply.data["n"] for reply in replies] == list(range(400))
    assert sorted(gateway.call_ids) == sorted(f"c{n}" for n in range(400))
    assert not [t for t in threading.enumerate() if t.name == "lark-service-client"]


async def test_errors_and_hand_overs_are_those_of_the_async_client(broker: str) -> None:
    def work() -> tuple[LarkError | None, str]:
        with BlockingLarkClient(broker, app="default") as lark:
            call_id = lark.publish("POST", MESSAGES, body={}, call_id="handed-over")
            try:
                lark.call("POST", MESSAGES, body={})
            except LarkError as error:
                return error, call_id
            return None, call_id

    async with answering(broker, DEFAULT, answer=lambda t: failure(t, "feishu_error", code=7)):
        error, call_id = await elsewhere(work)

    assert isinstance(error, FeishuError)
    assert error.code == 7
    assert call_id == "handed-over"


async def test_closing_fails_the_calls_of_other_threads(broker: str) -> None:
    lark = BlockingLarkClient(broker)
    await elsewhere(lark.open)
    async with answering(broker, DEFAULT, answer=lambda _: None) as gateway:
        call = asyncio.create_task(elsewhere(lambda: lark.call("GET", MESSAGES, timeout=30)))
        await eventually(lambda: len(gateway.taken) == 1)
        started = time.monotonic()
        await elsewhere(lark.close)
        with pytest.raises(ConnectionLost):
            await call

    assert time.monotonic() - started < 5


async def test_a_client_that_is_not_open_says_so(broker: str) -> None:
    lark = BlockingLarkClient(broker)
    with pytest.raises(RuntimeError, match="not open"):
        lark.call("GET", MESSAGES)
    await elsewhere(lark.open)
    await elsewhere(lark.close)
    with pytest.raises(RuntimeError, match="not open"):
        lark.publish("GET", MESSAGES)


def test_a_client_that_cannot_connect_leaves_no_thread() -> None:
    with pytest.raises(NotConnected):
        BlockingLarkClient("amqp://127.0.0.1:1", connect_timeout=0.3).open()

    assert not [t for t in threading.enumerate() if t.name == "lark-service-client"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_forked_child_is_told_to_make_its_own_client(broker: str) -> None:
    lark = BlockingLarkClient(broker)
    await elsewhere(lark.open)
    child = os.fork()
    if child == 0:
        try:
            lark.close()
            os._exit(told_in_child(lark))
        finally:
            os._exit(1)
    _, status = await elsewhere(lambda: os.waitpid(child, 0))
    await elsewhere(lark.close)

    assert os.waitstatus_to_exitcode(status) == 7


def told_in_child(lark: BlockingLarkClient) -> int:
    try:
        lark.call("GET", MESSAGES)
    except RuntimeError:
        return 7
    return 2
