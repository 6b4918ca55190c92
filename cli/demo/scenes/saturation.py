"""One API is saturated, another stays quick, and Feishu never has to say 429."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from cli.demo.stage import Check, Ended, Stage, calls_of, milliseconds, percentile

TITLE = "A saturated API delays nobody"
SLOW = "POST /open-apis/drive/v1/files/create_folder"
USERS = "/open-apis/contact/v3/users/:user_id"
FLOOD = 300
FLOOD_SECONDS = 14.0
QUIET_SECONDS = 3.0
QUICK_PER_SECOND = 20
SLOWEST_QUICK = 2.0
"""Seconds; calls of the saturated API wait up to FLOOD_SECONDS, so this tells the two apart."""
_REPORT_SECONDS = 4.0


async def play(stage: Stage) -> list[Check]:
    """Send 300 calls of a 5-a-second API at once, and 20 a second of another all the time."""
    stage.say(
        f"Feishu grants {SLOW.split()[1]} 5 calls a second. {FLOOD} of them are published at "
        f"once, each with {FLOOD_SECONDS:.0f} s to be made. Before and meanwhile another producer "
        f"reads users, {QUICK_PER_SECOND} a second:"
    )
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(QUIET_SECONDS, over.set)
    before = await _read_users(stage, over, "before")
    stage.show("users, before", _speed(before))

    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        quick = group.create_task(_read_users(stage, over, "during"))
        ended = await _flood(stage)
        over.set()
    during = quick.result()
    stage.show("users, meanwhile", _speed(during))
    return await _checks(stage, ended, during)


async def _flood(stage: Stage) -> list[Ended]:
    method, path = SLOW.split()
    async with calls_of() as calls:
        for number in range(FLOOD):
            body = {"name": f"Folder {number}", "folder_token": "fldcnDemo"}
            call = stage.call(method, path, f"folder-{number}", body=body, seconds=FLOOD_SECONDS)
            calls.append(asyncio.create_task(call))
        began, left = time.monotonic(), set(calls)
        while left:
            _, left = await asyncio.wait(left, timeout=_REPORT_SECONDS)
            done = Counter(call.result().type for call in calls if call.done())
            moved = await stage.metric("lark_service_calls_moved_total")
            seconds = time.monotonic() - began
            stage.show(f"after {seconds:4.1f} s", _told(done, len(left), int(moved)))
        return [call.result() for call in calls]


async def _read_users(stage: Stage, over: asyncio.Event, when: str) -> list[Ended]:
    async with calls_of() as calls:
        while not over.is_set():
            name = f"{when}-{len(calls)}"
            params = {"user_id": f"ou_{name}"}
            call = stage.call("GET", USERS, f"user-{name}", path_params=params)
            calls.append(asyncio.create_task(call))
            await asyncio.sleep(1 / QUICK_PER_SECOND)
        return list(await asyncio.gather(*calls))


async def _checks(stage: Stage, ended: Sequence[Ended], during: Sequence[Ended]) -> list[Check]:
    types = Counter(each.type for each in ended)
    told_when = all(
        each.reply["error"].get("retry_after_ms") is not None
        for each in ended
        if each.type == "rate_limited"
    )
    accepted, rejected = await stage.feishu.counted(SLOW)
    statuses = (await stage.feishu.read("stats"))["statuses"]
    limited = int(statuses.get("429", 0)) + rejected
    slowest = percentile([each.seconds for each in during], 99)
    kept = types.total() == FLOOD and set(types) <= {"ok", "rate_limited", "deadline_exceeded"}
    return [
        Check(
            f"each of the {FLOOD} calls is answered: made, or told when to come again",
            ", ".join(f"{count} {type_}" for type_, count in types.most_common()),
            kept and told_when and types["ok"] > 0,
        ),
        Check(
            "Feishu made what was answered ok; what it had to reject was sent again",
            f"{accepted} accepted for {types['ok']} ok, {limited} times 429",
            # On a busy machine requests of one second arrive in the next: rare, and made good.
            accepted == types["ok"] and limited <= accepted // 5,
        ),
        Check(
            f"the other API stays quick: p99 below {milliseconds(SLOWEST_QUICK)}",
            f"{_speed(during)}, all ok" if all(each.ok for each in during) else "not all ok",
            slowest < SLOWEST_QUICK and all(each.ok for each in during),
        ),
    ]


def _speed(calls: Sequence[Ended]) -> str:
    seconds = [each.seconds for each in calls]
    p50, p99 = milliseconds(percentile(seconds, 50)), milliseconds(percentile(seconds, 99))
    return f"{len(calls)} calls, p50 {p50}, p99 {p99}"


def _told(done: Counter[str], left: int, moved: int) -> str:
    later = done["rate_limited"] + done["deadline_exceeded"]
    return (
        f"{done['ok']} made, {later} told when to come again, {left} waiting "
        f"({moved} were moved to a queue of their own in the broker)"
    )
