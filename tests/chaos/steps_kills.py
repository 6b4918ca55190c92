"""One kill at one step, and what became of the calls that it struck."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from .steps_calls import (
    Marked,
    arrivals,
    calls_for,
    forget,
    letters_of,
    observe,
    publish,
    replies_to,
    token_requests,
)
from .steps_oracle import Klass, Observed, Step
from .steps_parking import PARKING
from .steps_world import LateError, World, until

END_SECONDS = 65.0
"""The deadline of a call that names none, and what its answer may take longer."""
SECOND_SECONDS = 6.0
"""How long a second end is waited for where the redelivery, or the copy, should make one."""
_SECOND_ENDS = (Step.C8, Step.C9, Step.C10)
_UNSENT = (Step.C0, Step.C1, Step.C2, Step.C3)
MOST_REFRESHES = 2
LINGER_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Struck:
    """One kill: the calls, and whether all of them stood at the step."""

    calls: Sequence[Observed]
    parked: bool
    step: Step
    """The step that they are judged by: where they were, if not where they were to be."""
    note: str = ""


async def kill_at(world: World, step: Step, klass: Klass, number: int, run: str) -> Struck:
    """Park so many calls at the step, kill their process, and see how they end."""
    # More than one would share a script, and stand before it and in it at the same time.
    calls = calls_for(step, klass, 1 if step is Step.C1 else number, run)
    refreshes = token_requests(world)
    parked, note = True, ""
    try:
        await PARKING[step](world, calls)
    except LateError as error:
        parked, note = False, f"not parked: {error}"
    # An ack that came too soon needs a moment to be sent.
    await asyncio.sleep(LINGER_SECONDS)
    await world.victim.kill()
    stood = step
    if step in _UNSENT and any(arrivals(world, call) for call in calls):
        # Whoever waits for Redis goes on without it; on a busy machine that is before the kill.
        stood, parked, note = Step.C5, False, "went on before the kill"
    await world.succeed()
    # It starts while the calls of this kill end: of two processes only one takes calls.
    await world.have_successor()
    await _ended(world, step, calls)
    seen = observe(world, calls)
    if step is Step.C2 and token_requests(world) - refreshes > MOST_REFRESHES:
        note = f"{token_requests(world) - refreshes} refreshes"
    forget(world)
    return Struck(seen, parked, stood, note)


async def poisoned(world: World, run: str) -> Struck:
    """C9 for what is no call: it is buried and answered, and killed before the ack."""
    (call,) = calls_for(Step.C9, Klass.R, 1, run)
    poison = Marked(call.word, Klass.R, {"poison": call.word}, reply=True)
    await PARKING[Step.C9](world, [poison])
    await world.succeed()
    await world.have_successor()
    await _ended(world, Step.C9, [poison])
    await until(partial(replies_to, world, poison), END_SECONDS)
    seen = observe(world, [poison])
    forget(world)
    return Struck(seen, parked=True, step=Step.C9)


async def warm(world: World) -> None:
    """Have one call of each class made, so that the token is there and the classes are known."""
    for klass in Klass:
        calls = calls_for(Step.C7, klass, 1, "warm")
        await publish(world, calls)
        await until(partial(replies_to, world, calls[0]), END_SECONDS)
    forget(world)


async def _ended(world: World, step: Step, calls: Sequence[Marked]) -> None:
    ends = 2 if step in _SECOND_ENDS else 1

    def number_of_ends(call: Marked) -> int:
        return len((replies_to if call.reply else letters_of)(world, call))

    # What has not come by then is lost, or was not made a second time: the judge says which.
    try:
        await until(lambda: all(map(number_of_ends, calls)), END_SECONDS)
        await until(lambda: all(number_of_ends(call) >= ends for call in calls), SECOND_SECONDS)
    except LateError:
        return
