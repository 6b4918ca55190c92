"""Plays sequences on the scripts in Redis, with a clock that the sequence sets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from redis import Redis

from tests.support.limits_sequences import EPOCH, Action, Command, Player, Setting

SEQUENCES = int(os.environ.get("LARK_SEQUENCES", "500"))
SCRIPTS = {
    "acquire": ("bucket.lua", "acquire.lua"),
    "report": ("bucket.lua", "report.lua"),
    "places": ("places.lua",),
}
_CLOCK, _SET_CLOCK = "redis.call('TIME')", "redis.call('MGET', 'sec', 'us')"


def sources() -> dict[str, str]:
    """The files that scripts are made of, as they are."""
    names = {name for parts in SCRIPTS.values() for name in parts}
    return {name: files("gateway.limits").joinpath(name).read_text() for name in sorted(names)}


class Replay:
    """The scripts, whole or with a defect, in a Redis of their own."""

    def __init__(self, client: Redis, texts: Mapping[str, str]) -> None:
        self.client = client
        self.shas: dict[str, str] = {}
        for script, parts in SCRIPTS.items():
            text = "".join(texts[part] for part in parts)
            assert text.count(_CLOCK) == 1
            self.shas[script] = str(client.script_load(text.replace(_CLOCK, _SET_CLOCK)))

    def play(self, setting: Setting, actions: list[Action]) -> tuple[list[Command], list[Any]]:
        """Every command, and what was replied to it."""
        commands = Player(setting).play(actions)
        pipeline = self.client.pipeline(transaction=False)
        pipeline.flushdb()
        pipeline.set("fence", EPOCH)
        for command in commands:
            self._add(pipeline, command)
        replies = pipeline.execute(raise_on_error=False)
        return commands, replies[3::2]

    def first_wrong(self, setting: Setting, actions: list[Action]) -> tuple[Command, Any] | None:
        """The first command whose reply is not the model's, and that reply."""
        for command, reply in zip(*self.play(setting, actions), strict=True):
            if command.reply is not None and reply != command.reply:
                return command, reply
        return None

    def shortest(self, setting: Setting, actions: list[Action]) -> list[Action]:
        """What is left of a failing sequence when no single action can be left out."""
        position = 0
        while position < len(actions):
            fewer = actions[:position] + actions[position + 1 :]
            if self.first_wrong(setting, fewer) is not None:
                actions, position = fewer, 0
            else:
                position += 1
        return actions

    def _add(self, pipeline: Any, command: Command) -> None:
        pipeline.mset({"sec": command.now // 1_000_000, "us": command.now % 1_000_000})
        if command.script == "flush":
            pipeline.flushdb()
        elif command.script == "delete":
            pipeline.delete(*command.keys)
        else:
            sha, keys = self.shas[command.script], command.keys
            pipeline.evalsha(sha, len(keys), *keys, *command.arguments)
