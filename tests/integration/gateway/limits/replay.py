"""Plays sequences on the scripts in Redis, with a clock that the sequence sets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from redis import Redis

from tests.integration.gateway.limits.properties import broken
from tests.support.limits_player import EPOCH, Action, Command, Player, Setting

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
            text = "\n".join(texts[part] for part in parts)
            assert text.count(_CLOCK) == 1
            self.shas[script] = str(client.script_load(text.replace(_CLOCK, _SET_CLOCK)))

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """What is replied to each command, in a store that remembers nothing."""
        self.client.flushdb()
        self.client.set("fence", EPOCH)
        return self.go_on(commands)

    def go_on(self, commands: Sequence[Command]) -> list[Any]:
        """What is replied to each command, in the store as it is."""
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            self._add(pipeline, command)
        return list(pipeline.execute(raise_on_error=False)[1::2])

    def broken(self, setting: Setting, actions: list[Action]) -> list[str]:
        """What does not hold."""
        commands = Player(setting).play(actions)
        return broken(setting, commands, self.run(commands))

    def shortest(self, setting: Setting, actions: list[Action]) -> list[Action]:
        """What is left of a failing sequence when no single action can be left out."""
        position = 0
        while position < len(actions):
            fewer = actions[:position] + actions[position + 1 :]
            if self.broken(setting, fewer):
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
