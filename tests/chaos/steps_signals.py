"""Processes that are told to stop, or stopped and let go on: C11, C12 and C13."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from .proxy import Way
from .steps_calls import Marked, calls_for, forget, observe, publish, replies_to
from .steps_network import Connection, Flow, Verdict
from .steps_oracle import OK, ORACLE, Cell, Klass, Observed, Step, judge
from .steps_parking import CALLS, PARK_SECONDS, PUBLISH, Marks, control
from .steps_scenario import Scenario, Shown
from .steps_world import TENANT_TOKEN, LateError, World, until

STOP_SECONDS = 30.0
"""Within which a process that was told to stop is gone."""
HELD_SECONDS = 2.0
ZOMBIE_SECONDS = 45.0
"""RabbitMQ gives up a silent client after two to three heartbeats of ten seconds."""
_FINISHED = 5


Hold = Callable[[World, Sequence[Marked], asyncio.Event], Awaitable[None]]


async def _stop(world: World, hold: Hold | None, step: Step, klasses: Sequence[Klass]) -> Shown:
    """Finish some calls, hold one of each class at a step, send SIGTERM, and let go."""
    finished = [call for klass in klasses for call in calls_for(Step.C7, klass, _FINISHED, "done")]
    await publish(world, finished)
    await until(lambda: all(replies_to(world, call) for call in finished), PARK_SECONDS)
    held = [call for klass in klasses for call in calls_for(step, klass, 1, "held")]
    release = asyncio.Event()
    if hold is None:
        await publish(world, held)
    else:
        await hold(world, held, release)
    code, took = await _terminate(world, release)
    await world.succeed()
    await world.have_successor()
    calls = [*finished, *held]
    late: list[str] = []
    try:
        await until(lambda: all(replies_to(world, call) for call in calls), 65)
    except LateError:
        late.append("lost")
    # Whatever was left unacked comes to the next process first: an ended call would be in it.
    last = calls_for(Step.C7, Klass.R, 1, "last")
    await publish(world, last)
    await until(partial(replies_to, world, last[0]), PARK_SECONDS)
    again = sum(len(replies_to(world, call)) - 1 for call in finished)
    seen = observe(world, calls)
    forget(world)
    broken = late + [promise.value for call in seen for promise in _judged(call, step)]
    kept = code == 0 and took <= STOP_SECONDS and not again and not broken
    return Shown("", kept, f"exit {code} after {took:.1f} s, {again} again, broken {broken}")


def _judged(call: Observed, step: Step) -> list[str]:
    # A process that stops in good order leaves less in doubt than one that is killed.
    return list(judge(call, ORACLE[Step.C7 if "-done-" in call.call_id else step][call.klass]))


async def _terminate(world: World, release: asyncio.Event | None = None) -> tuple[int, float]:
    began = time.monotonic()
    world.victim.signal(signal.SIGTERM)
    if release is not None:
        asyncio.get_running_loop().call_later(HELD_SECONDS, release.set)
    return await world.victim.ended(), time.monotonic() - began


def _holds(wire: str, way: Way, role: str) -> Hold:
    """Keeps back, until the release, whatever goes one way once a call has gone by."""

    async def hold(world: World, calls: Sequence[Marked], release: asyncio.Event) -> None:
        marks, kept = Marks(calls), set[Connection]()

        def rule(connection: Connection, flow: Flow, _: bytes) -> Verdict:
            marks.note(flow)
            if flow.way is way and connection.role == role and marks.seen:
                kept.add(connection)
                return release
            return None

        proxy = world.feishu_wire if wire == "feishu" else world.victim.amqp
        proxy.rule = rule
        await publish(world, calls)
        await until(lambda: kept, PARK_SECONDS)

    return hold


async def _held_token(world: World, calls: Sequence[Marked], _: asyncio.Event) -> None:
    slow = {"method": "POST", "template": TENANT_TOKEN, "delay_ms": HELD_SECONDS * 1000}
    await control(world, "faults", slow)
    world.feishu.world.tokens.revoke()
    await publish(world, calls)


async def _held_answer(world: World, calls: Sequence[Marked], _: asyncio.Event) -> None:
    await publish(world, calls)
    await until(lambda: all(observe_requests(world, call) for call in calls), PARK_SECONDS)


def observe_requests(world: World, call: Marked) -> int:
    """How many requests arrived for the call."""
    return len(observe(world, [call])[0].requests)


def _stopped_at(hold: Hold | None, step: Step) -> Scenario:
    async def scenario(world: World, name: str) -> Shown:
        shown = await _stop(world, hold, step, list(Klass))
        return Shown(name, shown.kept, shown.detail)

    return scenario


async def two_signals(world: World, name: str) -> Shown:
    """SIGINT and SIGTERM while a call is held: the second ends the process at once."""
    calls = calls_for(Step.C5, Klass.N, 1, "two")
    await _held_answer(world, calls, asyncio.Event())
    began = time.monotonic()
    world.victim.signal(signal.SIGINT)
    world.victim.signal(signal.SIGTERM)
    code = await world.victim.ended()
    took = time.monotonic() - began
    await world.succeed()
    return await _then(world, name, calls, Step.C5, took <= STOP_SECONDS, f"exit {code}")


async def during_start(world: World, name: str) -> Shown:
    """SIGTERM at ten moments of a start."""
    worst, codes = 0.0, list[int | str]()
    for tenth in range(10):
        instance = await world.prepare()
        world.instances.remove(instance)
        instance.admit()
        await asyncio.sleep(0.25 * tenth)
        began = time.monotonic()
        instance.signal(signal.SIGTERM)
        try:
            codes.append(await instance.ended(STOP_SECONDS))
        except LateError:
            codes.append("never")
        worst = max(worst, time.monotonic() - began)
        await instance.kill()
    calls = calls_for(Step.C7, Klass.N, 1, "start")
    await publish(world, calls)
    # Before the handler is there the signal itself ends the process, which holds nothing yet.
    kept = worst <= STOP_SECONDS and set(codes) <= {0, -signal.SIGTERM}
    return await _then(world, name, calls, Step.C7, kept, f"exits {codes}, slowest {worst:.1f} s")


async def during_reconnect(world: World, name: str) -> Shown:
    """SIGTERM while RabbitMQ is away."""
    world.victim.amqp.admits.clear()
    world.victim.amqp.cut()
    await asyncio.sleep(1)
    code, took = await _terminate(world)
    await world.succeed()
    calls = calls_for(Step.C7, Klass.N, 1, "reconnect")
    await publish(world, calls)
    kept = code == 0 and took <= STOP_SECONDS
    return await _then(world, name, calls, Step.C7, kept, f"exit {code} after {took:.1f} s")


async def zombie(world: World, name: str) -> Shown:
    """A process is stopped while Feishu executes its calls, and goes on when others have them."""
    calls = [call for klass in Klass for call in calls_for(Step.C5, klass, 1, "zombie")]
    await _held_answer(world, calls, asyncio.Event())
    await world.have_successor()
    stopped = world.victim
    stopped.signal(signal.SIGSTOP)
    world.instances[1].admit()
    await world.instances[1].ready()
    await asyncio.sleep(ZOMBIE_SECONDS)
    stopped.signal(signal.SIGCONT)
    await until(lambda: all(replies_to(world, call) for call in calls), 90)
    # Long enough for the one that goes on to publish what it had in hand.
    await asyncio.sleep(20)
    seen = observe(world, calls)
    once = next(call for call in seen if call.klass is Klass.N)
    forget(world)
    # Both processes may repeat what does no harm; the N call has its one request behind it.
    free = Cell((1, 8), frozenset({OK}), "at least once, by each of two processes")
    cells = dict.fromkeys(Klass, free) | {Klass.N: ORACLE[Step.C5][Klass.N]}
    broken = {call.klass.value: judge(call, cells[call.klass]) for call in seen}
    kept = not any(broken.values())
    ends = {call.klass.value: call.ends for call in seen}
    await world.succeed()
    return Shown(name, kept, f"N executed {once.executions} times; ends {ends}; broken {broken}")


async def _then(
    world: World, name: str, calls: Sequence[Marked], step: Step, kept: bool, detail: str
) -> Shown:
    """The calls must end as after a kill, whatever happened to the process."""
    await until(lambda: all(replies_to(world, call) for call in calls), 90)
    seen = observe(world, calls)
    forget(world)
    broken = [promise.value for call in seen for promise in judge(call, ORACLE[step][call.klass])]
    return Shown(name, kept and not broken, f"{detail}, broken {broken}")


SIGNALS: Mapping[str, Scenario] = {
    "C11 SIGTERM just after the delivery": _stopped_at(None, Step.C7),
    "C11 SIGTERM during a refresh": _stopped_at(_held_token, Step.C7),
    "C11 SIGTERM while the request is held": _stopped_at(_holds("feishu", Way.UP, ""), Step.C7),
    "C11 SIGTERM while the answer is held": _stopped_at(_holds("feishu", Way.DOWN, ""), Step.C7),
    "C11 SIGTERM while the reply is held": _stopped_at(_holds("amqp", Way.UP, PUBLISH), Step.C7),
    "C11 SIGTERM while the ack is held": _stopped_at(_holds("amqp", Way.UP, CALLS), Step.C7),
    "C11 SIGTERM while a copy waits": _stopped_at(None, Step.C10),
    "C11 SIGTERM while no answer comes": _stopped_at(_held_answer, Step.C5),
    "C12 SIGINT and SIGTERM": two_signals,
    "C12 SIGTERM during the start": during_start,
    "C12 SIGTERM during a reconnect": during_reconnect,
    "C13 SIGSTOP, then SIGCONT": zombie,
}
