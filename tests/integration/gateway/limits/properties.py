"""What must hold of the replies to a sequence, whatever the scripts look like inside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.support.limits_model import Answer, Ask
from tests.support.limits_player import Command, Setting


class Told(NamedTuple):
    """One ask, and the script's answer at a time."""

    command: Command
    ask: Ask
    answer: Answer


def broken(setting: Setting, commands: Sequence[Command], replies: Sequence[Any]) -> list[str]:
    """What does not hold, in words."""
    said = [
        f"{command} was replied {reply}, as if something else had been counted"
        for command, reply in zip(commands, replies, strict=True)
        if command.reply is not None and reply != command.reply
    ][:1]
    told = list(answers(commands, replies))
    said += [f"no permit when told: {one}" for one in told if not wait_is_kept(one)]
    if all(command.script == "acquire" for command in commands) and is_forward(commands):
        said += above_limit(setting, told)
    return said


def answers(commands: Sequence[Command], replies: Sequence[Any]) -> Iterator[Told]:
    """Each ask with its answer, where there is one."""
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, list) and reply[0] == 0:
            for index, ask in enumerate(command.asks):
                numbers = reply[3 + 6 * index : 9 + 6 * index]
                yield Told(command, ask, Answer(*numbers))


def wait_is_kept(told: Told) -> bool:
    """One that got less has a time to wait, and at that time, if nobody else asked, a permit."""
    answer = told.answer
    if (answer.wait > 0) != (answer.granted < told.ask.want):
        return False
    return answer.granted > 0 or not told.command.must_grant


def is_forward(commands: Sequence[Command]) -> bool:
    """Whether the clock never stepped back and the limits stayed."""
    times = [command.now for command in commands]
    return times == sorted(times) and not any(command.reshaped for command in commands)


def above_limit(setting: Setting, told: Sequence[Told]) -> Iterator[str]:
    """Windows with more in them than their limit, by when the permits hold."""
    held: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for command, ask, answer in told:
        for name in ask.buckets if answer.granted else ():
            held[name].append((command.now + answer.delay, answer.granted))
    for name, grants in held.items():
        shape = setting.shapes[name]
        is_exact = shape.windows and not shape.grain
        if is_exact and grants != sorted(grants, key=lambda grant: grant[0]):
            yield f"permits of {name} do not hold in the order in which they were granted: {grants}"
        for window in shape.windows:
            span = window.span - shape.grain
            for end, _ in grants:
                inside = sum(n for stamp, n in grants if end - span < stamp <= end)
                if inside > window.limit:
                    yield f"{inside} permits of {name} in {window} until {end}"


def refused_everything(command: Command, reply: Any) -> bool:
    """Whether no ask of a command was granted anything."""
    told = list(answers([command], [reply]))
    return bool(told) and not any(one.answer.granted for one in told)
