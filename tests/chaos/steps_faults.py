"""Faults beside the kills that stand at the same steps: lost wires, lost queues, an emptied Redis,
late answers, and many calls in a row."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import aiormq
import redis.asyncio as aioredis

from schemas import names

from .proxy import Way
from .steps_calls import Marked, calls_for, forget, letters_of, observe, publish, replies_to
from .steps_network import Connection, Flow, Verdict
from .steps_oracle import OK, ORACLE, UNKNOWN, Cell, Klass, Step, judge
from .steps_parking import PARK_SECONDS, executed, unpublished
from .steps_scenario import Scenario, Shown
from .steps_world import NARROW, NARROW_API, NARROW_SECONDS, World, until

END_SECONDS = 65.0
LINGER_SECONDS = 0.5
BURST = 10_500
"""A mistake that is made once in ten thousand replies is made in these."""
_AT_ONCE = 100


def _one_of_each(step: Step, run: str) -> list[Marked]:
    return [call for klass in Klass for call in calls_for(step, klass, 1, run)]


async def _judged(world: World, calls: Sequence[Marked], cells: Mapping[Klass, Cell]) -> list[str]:
    """What was broken, once every call has ended."""

    def ended(call: Marked) -> bool:
        return bool((replies_to if call.reply else letters_of)(world, call))

    await until(lambda: all(map(ended, calls)), END_SECONDS, what=lambda: "an end of every call")
    seen = observe(world, calls)
    forget(world)
    broken = ((call.klass, promise) for call in seen for promise in judge(call, cells[call.klass]))
    return [f"{klass.value} {promise.value}" for klass, promise in broken]


async def cut(world: World, name: str) -> Shown:
    """The process lives on, and its connection to Feishu is lost with the answers."""
    calls = _one_of_each(Step.C5, "cut")
    await executed(world, calls)
    world.feishu_wire.cut()
    broken = await _judged(world, calls, ORACLE[Step.C5])
    return Shown(name, not broken, f"broken {broken}")


async def unconfirmed_letters(world: World, name: str) -> Shown:
    """Dead letters are on the wire and not confirmed: killed then, they must come once more."""
    calls = _one_of_each(Step.C9, "letters")
    await unpublished(world, calls)
    # An ack that does not wait for the confirm needs a moment to be sent.
    await asyncio.sleep(LINGER_SECONDS)
    await world.succeed()
    await world.have_successor()
    broken = await _judged(world, calls, ORACLE[Step.C9])
    return Shown(name, not broken, f"broken {broken}")


async def no_queue(world: World, name: str) -> Shown:
    """The exchange of a retry rung leads nowhere: nothing is acked until it leads to its queue."""
    rung = names.rung(2)
    connection = await aiormq.connect(world.urls["RABBITMQ_URL"])
    channel = await connection.channel()
    await channel.queue_unbind(rung, rung)
    calls = _one_of_each(Step.C10, "rung")
    await publish(world, calls)
    await until(lambda: all(observe(world, [call])[0].requests for call in calls), PARK_SECONDS)
    await asyncio.sleep(LINGER_SECONDS)
    await channel.queue_bind(rung, rung)
    await connection.close()
    broken = await _judged(world, calls, ORACLE[Step.C10])
    return Shown(name, not broken, f"broken {broken}")


async def emptied(world: World, name: str) -> Shown:
    """Redis is emptied while a bucket is full: no window gets its limit twice."""
    words = [call.word for call in calls_for(Step.C7, Klass.N, NARROW + NARROW // 2, "narrow")]
    path = NARROW_API.partition(" ")[2]
    calls = [
        Marked(
            word,
            Klass.N,
            {"method": "POST", "path": path, "path_params": {"chat_id": word}, "body": {}},
            reply=True,
        )
        for word in words
    ]
    await publish(world, calls)
    await until(lambda: len(_times(world)) >= NARROW, PARK_SECONDS)
    async with aioredis.Redis.from_url(world.urls["REDIS_URL"]) as client:
        await client.flushdb()
    await until(lambda: all(replies_to(world, call) for call in calls), END_SECONDS)
    times = _times(world)
    most = max(sum(at <= other < at + NARROW_SECONDS for other in times) for at in times)
    forget(world)
    return Shown(name, most <= NARROW, f"{most} requests in a window for {NARROW}")


def _times(world: World) -> list[float]:
    template = NARROW_API.partition(" ")[2]
    entries = world.feishu.world.ledger.entries()
    return [entry["time"] for entry in entries if entry["template"] == template]


async def late_redis(world: World, name: str) -> Shown:
    """Redis answers after those who asked have gone: no answer may come to the next who asks."""
    lots = random.Random(name)
    tasks: set[asyncio.TimerHandle] = set()

    def rule(_: Connection, flow: Flow, __: bytes) -> Verdict:
        if flow.way is Way.UP or lots.random() < 0.5:
            return None
        release = asyncio.Event()
        later = asyncio.get_running_loop().call_later(lots.uniform(0.2, 0.4), release.set)
        tasks.add(later)
        return release

    world.victim.redis.rule = rule
    calls = [call for _ in range(15) for call in _one_of_each(Step.C7, "late")]
    for call in calls:
        await publish(world, [call])
        await asyncio.sleep(0.05)
    # It may be in doubt then, but never do a call twice or say what belongs to another.
    cells = dict.fromkeys(Klass, Cell((0, 2), frozenset({OK, UNKNOWN}), "Redis is late"))
    broken = await _judged(world, calls, cells)
    await world.succeed()
    return Shown(name, not broken, f"broken {dict(Counter(broken))}")


async def burst(world: World, name: str) -> Shown:
    """Many calls through one process: every reply is for whoever asked."""
    wrong = 0
    for _ in range(0, BURST, _AT_ONCE):
        calls = calls_for(Step.C7, Klass.R, _AT_ONCE, "burst")
        await publish(world, calls)
        words = {call.word for call in calls}

        def answered(asked: set[str] = words) -> bool:
            return asked <= {str(reply.json["call_id"]) for reply in world.producer.replies}

        await until(answered, END_SECONDS)
        for reply in world.producer.replies:
            said = json.loads(reply.body)
            wrong += said["call_id"] != reply.properties.correlation_id
        forget(world)
    return Shown(name, not wrong, f"{wrong} of {BURST} replies for somebody else")


FAULTS: Mapping[str, Scenario] = {
    "C5 the connection is cut": cut,
    "C9 killed before the confirm": unconfirmed_letters,
    "C10 no queue for the copy": no_queue,
    "C1 Redis is emptied": emptied,
    "C1 Redis answers late": late_redis,
}
MORE: Mapping[str, Scenario] = {"burst of calls": burst}
"""What takes long and belongs to no step."""
