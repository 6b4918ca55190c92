"""The scripts against a model that counts everything again, in any order of what may happen.

`LARK_SEQUENCES` says how many sequences are played (`make properties` plays ten thousand).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.integration.gateway.limits.properties import refused_everything
from tests.integration.gateway.limits.replay import SEQUENCES, Replay, sources
from tests.support.limits_grants import Shape
from tests.support.limits_model import Ask
from tests.support.limits_player import LEASE, Action, Player
from tests.support.limits_sequences import sequence_of

MOST = 1000


@pytest.fixture(scope="module")
def replay(redis_url: str) -> Iterator[Replay]:
    with Redis.from_url(redis_url) as client:
        yield Replay(client, sources())


def test_every_answer_is_that_of_counting_everything_and_no_window_is_above_its_limit(
    replay: Replay,
) -> None:
    for number in range(SEQUENCES):
        setting, actions, _ = sequence_of(number)
        if replay.broken(setting, actions):
            short = replay.shortest(setting, actions)
            said = "\n".join(replay.broken(setting, short))
            pytest.fail(f"sequence {number}\n{setting}\n{short}\n{said}")


def test_what_is_refused_changes_nothing(replay: Replay) -> None:
    """But that an interactive call was seen, for whose sake bulk leaves room."""
    refused = 0
    for number in range(SEQUENCES // 5):
        setting, actions, _ = sequence_of(number)
        commands = Player(setting).play(actions)
        replay.run([])
        for command in commands:
            before = contents(replay, command.keys)
            [reply] = replay.go_on([command])
            if refused_everything(command, reply):
                refused += 1
                assert contents(replay, command.keys) == before, (number, command)
    assert refused > SEQUENCES // 5


def contents(replay: Replay, keys: tuple[str, ...]) -> list[object]:
    """All that a bucket's keys hold, but for when an interactive call was seen."""
    pipeline = replay.client.pipeline(transaction=False)
    for key in keys[1:]:
        if key.endswith(":log"):
            pipeline.lrange(key, 0, -1)
        elif key.endswith(":places"):
            pipeline.zrange(key, 0, -1, withscores=True)
        else:
            pipeline.hmget(key, ["until", "canary", "factor", "extra", "at"])
    return list(pipeline.execute())


def test_no_permit_is_lost_after_all_windows_the_whole_limit_is_there(replay: Replay) -> None:
    for number in range(SEQUENCES // 5):
        setting, actions, steady = sequence_of(number)
        if not steady:
            continue
        longest = max([LEASE, *(w.span for s in setting.shapes.values() for w in s.windows)])
        rest: list[Action] = [("later", longest + setting.ahead)]
        rest += [("take", (Ask((name,), whole(shape)),)) for name, shape in setting.shapes.items()]
        replies = replay.run(Player(setting).play(actions + rest))
        for (name, shape), reply in zip(
            setting.shapes.items(), replies[-len(setting.shapes) :], strict=True
        ):
            assert reply[3] == whole(shape), (number, name, shape)


def whole(shape: Shape) -> int:
    """All that a bucket grants at once."""
    return 1 if shape.at_once else min(MOST, *(window.limit for window in shape.windows), MOST)
