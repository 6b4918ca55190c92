"""One process hears that a bucket is full: what the others still send, and how it opens again."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from typing import Any

from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Line, Producer

from . import arena, loads
from .figures import canaries, is_rejection, quantile
from .options import Options
from .report import Findings, at_most, exactly

RATE = 40.0
RESET_SECONDS = 3.0
ANSWER_SECONDS = 0.2
"""How long Feishu takes to answer: a canary is what is sent before that."""
_WARM_SECONDS = 2.0


async def pause(options: Options) -> Findings:
    """Reset 3 s on one API, as HTTP 429 and as 400; then 230020 on one chat."""
    findings = Findings("pause")
    limits = {calls.MESSAGES: arena.WIDE}
    async with arena.arena(limits, answer_ms=ANSWER_SECONDS * 1000) as fleet:
        await fleet.start_gateways(options.gateways)
        async with Producer(fleet.stack.rabbitmq_url) as producer:
            await loads.steady(producer, calls.message, rate=RATE, seconds=_WARM_SECONDS)
            for status in (429, 400):
                await _api(fleet, producer, findings, status)
            await _chat(fleet, producer, findings)
    findings.remarks.append(
        f"{options.gateways} processes, {RATE:g} calls/s; Feishu answers after "
        f"{ANSWER_SECONDS * 1000:g} ms; times count from the arrival of the rejected request."
    )
    return findings


async def _api(fleet: Fleet, producer: Producer, findings: Findings, status: int) -> None:
    await fleet.sandbox("faults", _rejection(status))
    began = time.time()
    lines = await loads.steady(
        producer, calls.message, rate=RATE, seconds=RESET_SECONDS + 5, deadline=30
    )
    await producer.answered(lines, 30)
    noted = await arena.entries(fleet, calls.MESSAGES, began)
    rejected = [entry["time"] for entry in noted if is_rejection(entry)]
    start = rejected[0] + ANSWER_SECONDS if rejected else math.nan
    later = [entry["time"] for entry in noted if entry["time"] > start - ANSWER_SECONDS]
    opens = [time for time in later if time > start + 0.1]
    first = canaries(opens, start, ANSWER_SECONDS * 0.9)
    during = sum(start + 0.1 < time < start + RESET_SECONDS for time in later)
    findings.rows.append(
        {
            "what": f"API, HTTP {status}",
            "rejections": len(rejected),
            "sent within 100 ms": sum(start < time <= start + 0.1 for time in later),
            "sent until reset": during,
            "opens after s": round(opens[0] - start, 3) if opens else None,
            "canaries": first,
            "answered ok": sum(line.outcome == "ok" for line in lines) / len(lines),
        }
    )
    name = f"HTTP {status}"
    findings.gates += [
        exactly(f"{name}: sent from 100 ms on until the reset", during, 0),
        exactly(f"{name}: canaries", first, 1),
    ]


def _rejection(status: int) -> dict[str, Any]:
    return {
        "method": "POST",
        "template": "/open-apis/im/v1/messages",
        "status": status,
        "code": 99991400,
        "headers": {"x-ogw-ratelimit-reset": f"{RESET_SECONDS:g}"},
    }


async def _chat(fleet: Fleet, producer: Producer, findings: Findings) -> None:
    """One chat is full by Feishu's word; calls to it wait, calls to others do not."""
    chat = f"sim_chat_limited_once-{uuid.uuid4().hex}"
    before = await loads.steady(producer, calls.message, rate=RATE, seconds=4)
    to_it: list[Line] = []
    others = asyncio.create_task(loads.steady(producer, calls.message, rate=RATE, seconds=4))
    for _ in range(8):
        to_it.append(await producer.call(_to(chat), seconds=30))
        await asyncio.sleep(0.25)
    during = await others
    await producer.answered([*before, *during, *to_it], 30)
    usual, meanwhile = (quantile(loads.waits(lines), 0.99) for lines in (before, during))
    slowest = max(loads.waits(to_it), default=math.nan)
    findings.rows.append(
        {
            "what": "chat, 230020",
            "answered ok": sum(line.outcome == "ok" for line in to_it) / len(to_it),
            "p99 of others s": round(meanwhile, 3),
            "p99 before s": round(usual, 3),
            "slowest to the chat s": round(slowest, 3),
        }
    )
    findings.gates += [
        at_most("230020: p99 of other chats against before", meanwhile / usual, 1.2),
        exactly("230020: calls to the chat that failed", _failed(to_it), 0),
    ]


def _to(chat: str) -> dict[str, Any]:
    body = calls.message()
    body["body"]["receive_id"] = chat
    return body


def _failed(lines: list[Line]) -> int:
    return sum(line.outcome != "ok" for line in lines)
