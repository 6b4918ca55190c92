"""`lark-service limits`: what is in use, while no gateway runs and whoever is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiormq
import pytest

from gateway.database import Database
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from gateway.limits.limiter import Limiter
from gateway.limits.told import Told
from gateway.metrics import Metrics
from gateway.overflow_queues import OverflowQueue, OverflowRegistry
from gateway.redis_client import connect
from schemas.apis import parse_windows
from tests.support.command import COMMAND, plain_environment, run

NOWHERE = "127.0.0.1:1"
SEND = "POST /open-apis/im/v1/messages"
API = Bucket(f"default||{SEND}", parse_windows("1000/60;50/1"), name=SEND)
CHAT = Bucket("chat:https://open.feishu.cn|chat_id|oc_1", parse_windows("5/1"), name="chat")
TABLE = Bucket("table:https://open.feishu.cn|app|tbl", (), at_once=1, name="table")


@pytest.fixture(scope="module")
def alone(redis_url: str) -> dict[str, str]:
    """Settings with which only Redis can be reached."""
    return {
        "REDIS_URL": redis_url,
        "RABBITMQ_URL": f"amqp://guest:guest@{NOWHERE}/",
        "DATABASE_URL": f"postgresql://lark@{NOWHERE}/lark",
    }


@pytest.fixture(scope="module")
async def overflow(rabbitmq_url: str, database_url: str) -> AsyncIterator[dict[str, str]]:
    """Two overflow queues in the registry; one of them is there and holds three calls."""
    database = Database(database_url)
    await database.migrate()
    registry = OverflowRegistry(database)
    missing = OverflowQueue.of("default", "interactive", API)
    queue = OverflowQueue.of("default", "bulk", API)
    await registry.register(missing)
    await registry.register(queue)
    connection = await aiormq.connect(rabbitmq_url)
    channel = await connection.channel()
    await channel.queue_declare(queue.name, durable=True)
    for _ in range(3):
        await channel.basic_publish(b"{}", routing_key=queue.name)
    yield {"RABBITMQ_URL": rabbitmq_url, "DATABASE_URL": database_url}
    await channel.queue_delete(queue.name)
    await connection.close()
    await database.close()


@pytest.fixture
async def used(redis_url: str) -> AsyncIterator[Limiter]:
    """Twelve permits of an API, a paused chat, a call under way in a table, three that wait."""
    async with connect(redis_url) as redis:
        await redis.flushdb()
        limiter = Limiter(redis, Metrics(), settle_seconds=0.0)
        await limiter.start()
        await limiter.acquire([Ask((API,), 12), Ask((CHAT,), 1), Ask((TABLE,), 1, holder="c")])
        await limiter.rejected(CHAT, 60.0, time.monotonic())
        await Told(redis).tell(
            {(API, "bulk"): 3}, limiter.mode, {(API.key, "bulk"): time.time() - 75}
        )
        yield limiter
        await limiter.close()
        await redis.flushdb()


def by_key(told: Any) -> dict[str, Any]:
    return {bucket["key"]: bucket for bucket in told["buckets"]}


async def test_every_source_adds_its_part(
    used: Limiter, alone: dict[str, str], overflow: dict[str, str], tmp_path: Path
) -> None:
    ran = await run("limits", "--json", folder=tmp_path, **(alone | overflow))
    assert (ran.code, ran.err) == (0, "")
    told = ran.json
    assert (told["ok"], told["processes"], told["modes"]) == (True, 1, {"redis": 1})
    assert told["away"] == []
    api, chat, table = (by_key(told)[bucket.key] for bucket in (API, CHAT, TABLE))
    assert api["windows"][0] == {"seconds": 60, "used": 12, "limit": 1000, "limit_now": 1000}
    assert (api["app"], api["of"], api["in_hand"]) == ("default", SEND, {"bulk": 3})
    assert {lane: queue["calls"] for lane, queue in api["overflow"].items()} == {
        "interactive": 0,
        "bulk": 3,
    }
    assert 70 < api["overflow"]["bulk"]["oldest"] < 90
    assert api["overflow"]["interactive"]["oldest"] is None
    assert 0 < chat["paused_for"] <= 60
    # What was learnt of a window of a second fades within ten.
    assert 0.8 <= chat["factor"] < 1
    assert (chat["app"], chat["windows"][0]["limit"]) == (None, 5)
    assert (table["at_once"], table["under_way"], table["windows"]) == (1, 1, [])


async def test_people_get_a_table_and_a_line_for_each_source_that_is_away(
    used: Limiter, alone: dict[str, str], tmp_path: Path
) -> None:
    ran = await run("limits", folder=tmp_path, **alone)
    assert (ran.code, ran.err) == (0, "")
    for words in ("Processes alive: 1 (1 redis)", SEND, "1000/60: 12", "3 bulk", "1 of 1"):
        assert words in ran.out, ran.out
    assert "Postgres cannot be asked, so overflow is not known" in ran.out
    assert len(ran.out.splitlines()[-1]) < 200


async def test_a_depth_that_rabbitmq_cannot_tell_is_unknown(
    used: Limiter, alone: dict[str, str], overflow: dict[str, str], tmp_path: Path
) -> None:
    settings = alone | {"DATABASE_URL": overflow["DATABASE_URL"]}
    ran = await run("limits", "--json", folder=tmp_path, **settings)
    assert ran.code == 0
    assert by_key(ran.json)[API.key]["overflow"]["bulk"]["calls"] is None
    [away] = ran.json["away"]
    assert away.startswith("The depth of overflow queues is not known: RabbitMQ cannot be reached")


async def test_what_nobody_uses_is_shown_only_when_asked_for(
    used: Limiter, alone: dict[str, str], tmp_path: Path
) -> None:
    used.release((TABLE,), "c")
    while TABLE.key in by_key((await run("limits", "--json", folder=tmp_path, **alone)).json):
        pass
    ran = await run("limits", "--json", "--app", "other", folder=tmp_path, **alone)
    assert list(by_key(ran.json)) == [CHAT.key]


async def test_an_empty_redis_is_no_error(alone: dict[str, str], tmp_path: Path) -> None:
    ran = await run("limits", folder=tmp_path, **alone)
    assert ran.code == 0
    assert "Processes alive: 0\nNo bucket is in use.\n" in ran.out


async def test_without_redis_there_is_nothing_to_show(
    alone: dict[str, str], tmp_path: Path
) -> None:
    ran = await run("limits", folder=tmp_path, **(alone | {"REDIS_URL": f"redis://{NOWHERE}/0"}))
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith(f"Redis at {NOWHERE} cannot be asked: ")


async def test_watching_prints_a_line_each_time_until_it_is_interrupted(
    used: Limiter, alone: dict[str, str], tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("limits", "--json", "--watch", "0.2"),
        env=plain_environment() | alone,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert API.key in by_key(json.loads(await process.stdout.readline()))
    process.send_signal(2)
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
