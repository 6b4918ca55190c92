"""How calls are brought to stand at a step of their life, from outside: by held wires, held answers
and a stopped process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from .proxy import Way
from .steps_calls import (
    Marked,
    arrivals,
    letters_of,
    publish,
    replies_to,
    token_requests,
)
from .steps_network import Connection, Flow, Verdict
from .steps_oracle import Step
from .steps_world import TENANT_TOKEN, World, until

PARK_SECONDS = 20.0
BASIC_ACK = b"\x00\x3c\x00\x50"
PUBLISH, CALLS = "publish", "calls"
_PERMIT = b":limits}:fence"
_BEAT = b":limits}:processes"

Park = Callable[[World, Sequence[Marked]], Awaitable[None]]


@dataclass(slots=True)
class Marks:
    """Which of some calls have been seen to go by."""

    calls: Sequence[Marked]
    seen: set[str] = field(default_factory=set)

    def note(self, flow: Flow) -> bool:
        """Whether one of the calls goes by now, or has lately."""
        found = {call.word for call in self.calls if call.mark in flow.recent}
        self.seen |= found
        return bool(found)

    @property
    def all(self) -> bool:
        """Whether each was seen."""
        return len(self.seen) == len(self.calls)


async def delivered(world: World, calls: Sequence[Marked]) -> None:
    """C0: the process is stopped, and its socket holds what RabbitMQ has delivered."""
    marks = Marks(calls)

    def rule(connection: Connection, flow: Flow, _: bytes) -> Verdict:
        if connection.role == CALLS and flow.way is Way.DOWN:
            marks.note(flow)
        return None

    world.victim.amqp.rule = rule
    world.victim.signal(signal.SIGSTOP)
    await publish(world, calls)
    await until(lambda: marks.all, PARK_SECONDS)


async def at_permit(world: World, calls: Sequence[Marked]) -> None:
    """C1: the question for permits does not arrive at Redis, or at some kills the answer does not
    come back."""
    asked: set[Connection] = set()
    answers_only = calls[0].mark[-1] % 2 == 0

    def rule(connection: Connection, flow: Flow, chunk: bytes) -> Verdict:
        if flow.way is Way.UP and _PERMIT in chunk and _BEAT not in chunk:
            asked.add(connection)
            return None if answers_only else 0
        return 0 if connection in asked and flow.way is Way.DOWN else None

    world.victim.redis.rule = rule
    await publish(world, calls)
    await until(lambda: asked, PARK_SECONDS)


async def at_token(world: World, calls: Sequence[Marked]) -> None:
    """C2: Feishu has issued a token and does not say so; nobody has another one."""
    await world.have_successor()
    await world.forget_tokens()
    hang = {"method": "POST", "template": TENANT_TOKEN, "wire": "hang"}
    before = token_requests(world)
    await control(world, "faults", hang)
    # A process that was never told a token: the one before it goes, without a call in hand.
    await world.succeed()
    await world.victim.ready()
    await publish(world, calls)
    await until(lambda: token_requests(world) > before, PARK_SECONDS)


async def unsent(world: World, calls: Sequence[Marked]) -> None:
    """C3: the process has sent its requests, and no byte of them arrives."""
    await _held_request(world, calls, lambda _: 0)


async def half_sent(world: World, calls: Sequence[Marked]) -> None:
    """C4: one half of every request arrives."""
    await _held_request(world, calls, lambda chunk: len(chunk) // 2)


async def _held_request(
    world: World, calls: Sequence[Marked], passes: Callable[[bytes], int]
) -> None:
    marks = Marks(calls)

    def rule(_: Connection, flow: Flow, chunk: bytes) -> Verdict:
        if flow.way is Way.UP and marks.note(flow):
            return passes(chunk)
        return None

    world.feishu_wire.rule = rule
    await publish(world, calls)
    await until(lambda: marks.all, PARK_SECONDS)


async def executed(world: World, calls: Sequence[Marked]) -> None:
    """C5: Feishu has acted, and holds its answers."""
    await publish(world, calls)
    await until(lambda: all(arrivals(world, call) for call in calls), PARK_SECONDS)


async def answered(world: World, calls: Sequence[Marked]) -> None:
    """C6: the process gets all answers at once, and neither Redis nor RabbitMQ hears of it."""
    requests, release = Marks(calls), asyncio.Event()
    waiting: set[Connection] = set()
    attempts: set[str] = set()

    def feishu_rule(connection: Connection, flow: Flow, _: bytes) -> Verdict:
        if flow.way is Way.UP and requests.note(flow):
            connection.marks.add("call")
        if flow.way is Way.DOWN and "call" in connection.marks:
            waiting.add(connection)
            return release
        return None

    def redis_rule(_: Connection, flow: Flow, chunk: bytes) -> Verdict:
        if release.is_set() and flow.way is Way.UP:
            attempts.add("beat" if _BEAT in chunk else "redis")
            return 0
        return None

    def amqp_rule(connection: Connection, flow: Flow, _: bytes) -> Verdict:
        if release.is_set() and flow.way is Way.UP and connection.role == PUBLISH:
            attempts.add("publish")
            return 0
        return None

    world.feishu_wire.rule = feishu_rule
    world.victim.redis.rule = redis_rule
    world.victim.amqp.rule = amqp_rule
    await publish(world, calls)
    await until(lambda: len(waiting) == len(calls), PARK_SECONDS)
    release.set()
    # What it does next, whatever that is: it has the answers then.
    await until(lambda: attempts - {"beat"}, PARK_SECONDS)


async def unpublished(world: World, calls: Sequence[Marked]) -> None:
    """C7: replies are written onto the wire, and do not arrive at RabbitMQ."""
    marks = Marks(calls)

    def rule(connection: Connection, flow: Flow, _: bytes) -> Verdict:
        if connection.role == PUBLISH and flow.way is Way.UP and marks.note(flow):
            return 0
        return None

    world.victim.amqp.rule = rule
    await publish(world, calls)
    await until(lambda: marks.all, PARK_SECONDS)


async def unacked(world: World, calls: Sequence[Marked]) -> None:
    """C8: replies have arrived and are confirmed; acks do not arrive."""
    await _unacked(world, calls)
    await until(lambda: all(replies_to(world, call) for call in calls), PARK_SECONDS)


async def buried(world: World, calls: Sequence[Marked]) -> None:
    """C9: the same of dead letters."""
    await _unacked(world, calls)
    await until(lambda: all(letters_of(world, call) for call in calls), PARK_SECONDS)


async def delayed(world: World, calls: Sequence[Marked]) -> None:
    """C10: the same of copies that wait for their time."""
    await _unacked(world, calls)


async def _unacked(world: World, calls: Sequence[Marked]) -> None:
    published = Marks(calls)
    confirmed: set[Connection] = set()
    held: set[Connection] = set()

    def rule(connection: Connection, flow: Flow, chunk: bytes) -> Verdict:
        if connection.role == PUBLISH:
            if flow.way is Way.UP:
                published.note(flow)
            elif published.all and BASIC_ACK in chunk:
                confirmed.add(connection)
        # Acks of calls before these go by until the first of these has been published.
        elif connection.role == CALLS and flow.way is Way.UP and published.seen:
            held.update({connection} if BASIC_ACK in chunk else ())
            return 0
        return None

    world.victim.amqp.rule = rule
    await publish(world, calls)
    await until(lambda: published.all and confirmed and held, PARK_SECONDS)


async def control(world: World, name: str, body: object) -> None:
    """Use the control endpoint of the simulated Feishu."""
    url = f"{world.feishu.url}/_sandbox/{name}"
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        response.raise_for_status()


PARKING: Mapping[Step, Park] = {
    Step.C0: delivered,
    Step.C1: at_permit,
    Step.C2: at_token,
    Step.C3: unsent,
    Step.C4: half_sent,
    Step.C5: executed,
    Step.C6: answered,
    Step.C7: unpublished,
    Step.C8: unacked,
    Step.C9: buried,
    Step.C10: delayed,
}
