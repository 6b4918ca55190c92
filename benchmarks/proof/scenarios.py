"""What is claimed, shown on real parts. Each scenario returns its figures."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from . import calls
from .fleet import Fleet
from .ledger import Line, Producer, summary


async def five_thousand(fleet: Fleet) -> dict[str, Any]:
    """5,000 calls, 64 at a time: each answered once and correctly, one token request."""
    await fleet.start_gateway()
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        bodies = [calls.read_user() if n % 2 else calls.message() for n in range(5000)]
        began = time.monotonic()
        lines = await _at_a_time(producer, bodies, 64)
        seconds = time.monotonic() - began
    wrong = sum(not _correct(body, line) for body, line in zip(bodies, lines, strict=True))
    stats = await fleet.sandbox("stats")
    return summary(lines) | {
        "wrong": wrong,
        "token_requests": stats["token_requests"],
        "calls_at_feishu": stats["total"] - stats["token_requests"],
        "calls_per_s": round(len(lines) / seconds),
    }


async def cold_token(fleet: Fleet) -> dict[str, Any]:
    """200 calls at once with no token anywhere: one token request."""
    await fleet.start_gateway()
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        lines = await _at_a_time(producer, [calls.read_user() for _ in range(200)], 200)
    return summary(lines) | {"token_requests": (await fleet.sandbox("stats"))["token_requests"]}


async def revoked_token(fleet: Fleet) -> dict[str, Any]:
    """A token revoked amid 2,000 calls to two processes: all are answered ok."""
    for _ in range(2):
        await fleet.start_gateway()
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        warm = await _at_a_time(producer, [calls.read_user() for _ in range(64)], 64)
        before = (await fleet.sandbox("stats"))["token_requests"]
        bodies = [calls.read_user() if n % 2 else calls.message() for n in range(2000)]
        working = asyncio.create_task(_at_a_time(producer, bodies, 64))
        await _until(lambda: len(producer.lines) > len(warm) + 800)
        await fleet.sandbox("revoke", {})
        lines = await working
    after = (await fleet.sandbox("stats"))["token_requests"]
    more = after - before
    return summary(lines) | {"token_requests_before": before, "more_token_requests": more}


async def wrong_secret(fleet: Fleet) -> dict[str, Any]:
    """100 calls with a wrong secret: each answered so within 2 s, at most 3 token requests."""
    await fleet.start_gateway(LARK_APP_SECRET="not-the-secret")
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        lines = await _at_a_time(producer, [calls.read_user() for _ in range(100)], 100)
    return summary(lines) | {"token_requests": (await fleet.sandbox("stats"))["token_requests"]}


async def saturated(fleet: Fleet, *, seconds: float = 130) -> dict[str, Any]:
    """Two processes on one API of 1000/60;50/1, more offered than it takes; sliding windows."""
    for _ in range(2):
        await fleet.start_gateway()
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            waiting = [line for line in producer.lines.values() if not line.replies]
            if len(waiting) < 120:
                left = seconds - now + 5
                await asyncio.gather(
                    *(producer.call(calls.message(), seconds=left) for _ in range(60))
                )
            await asyncio.sleep(0.1)
        stats = await fleet.sandbox("stats")
        await producer.answered(list(producer.lines.values()), 10)
        lines = list(producer.lines.values())
    limits = _limits_of(stats, calls.MESSAGES)
    return summary(lines) | {
        "seconds": seconds,
        "accepted_per_minute": round(limits["accepted"] / seconds * 60),
        "at_feishu": limits,
    }


async def one_api_full(fleet: Fleet) -> dict[str, Any]:
    """300 calls at once onto an API of 5 a second; reads of users at 20 a second meanwhile."""
    await fleet.start_gateway()
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        before = await _reads(producer, 5)
        crowd = [asyncio.create_task(producer.call(calls.create_folder())) for _ in range(300)]
        meanwhile = await _reads(producer, 30)
        crowded = list(await asyncio.gather(*crowd))
        await producer.answered(crowded, 65)
    stats = await fleet.sandbox("stats")
    return {
        "before": summary(before),
        "meanwhile": summary(meanwhile),
        "crowd": summary(crowded),
        "at_feishu": _limits_of(stats, calls.FOLDERS),
    }


async def _reads(producer: Producer, seconds: float) -> list[Line]:
    tasks = []
    for _ in range(int(20 * seconds)):
        tasks.append(asyncio.create_task(producer.call(calls.read_user())))
        await asyncio.sleep(0.05)
    lines = list(await asyncio.gather(*tasks))
    await producer.answered(lines, 65)
    return lines


async def reset_honoured(fleet: Fleet) -> dict[str, Any]:
    """99991400 as HTTP 429 and as HTTP 400 pauses the API in both processes alike."""
    for _ in range(2):
        await fleet.start_gateway()
    figures: dict[str, Any] = {}
    async with Producer(fleet.stack.rabbitmq_url) as producer:
        await _at_a_time(producer, [calls.message() for _ in range(20)], 20)
        for status in (429, 400):
            await fleet.sandbox("reset", {})
            fault = {
                "method": "POST",
                "template": "/open-apis/im/v1/messages",
                "status": status,
                "code": 99991400,
                "headers": {"x-ogw-ratelimit-reset": "3"},
            }
            await fleet.sandbox("faults", fault)
            lines = await _spread(producer, 100, 5.0)
            await producer.answered(lines, 20)
            figures[f"http_{status}"] = summary(lines) | await _after_rejection(fleet)
    return figures


async def _after_rejection(fleet: Fleet) -> dict[str, Any]:
    ledger = await fleet.sandbox("ledger", method="POST", template="/open-apis/im/v1/messages")
    entries = ledger["entries"]
    rejected = next(entry for entry in entries if entry["code"] == 99991400)
    later = [
        entry["time"] - rejected["time"] for entry in entries if entry["time"] > rejected["time"]
    ]
    return {
        "rejections": sum(entry["code"] == 99991400 for entry in entries),
        "sent_within_100_ms": sum(gap <= 0.1 for gap in later),
        "sent_between_100_ms_and_reset": sum(0.1 < gap < 3 for gap in later),
        "first_after_s": round(min((gap for gap in later if gap >= 0.1), default=0), 3),
    }


async def _spread(producer: Producer, count: int, seconds: float) -> list[Line]:
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(producer.call(calls.message(), seconds=30)))
        await asyncio.sleep(seconds / count)
    return list(await asyncio.gather(*tasks))


async def _at_a_time(producer: Producer, bodies: list[dict[str, Any]], callers: int) -> list[Line]:
    gate = asyncio.Semaphore(callers)

    async def one(body: dict[str, Any]) -> Line:
        async with gate:
            line = await producer.call(body)
            await producer.answered([line], 70)
            return line

    return list(await asyncio.gather(*(one(body) for body in bodies)))


def _correct(body: dict[str, Any], line: Line) -> bool:
    if len(line.replies) != 1 or not line.replies[0]["ok"]:
        return False
    reply = line.replies[0]
    data = reply["response"]["body"]["data"]
    if body["method"] == "GET":
        return bool(data["user"]["open_id"] == body["path_params"]["user_id"])
    return bool(reply["call_id"] == line.call_id and data["chat_id"] == body["body"]["receive_id"])


def _limits_of(stats: dict[str, Any], api: str) -> dict[str, Any]:
    return next(entry for entry in stats["limits"] if entry["api"] == api)


async def _until(condition: Any, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the condition is another task's growing list
            await asyncio.sleep(0.01)
