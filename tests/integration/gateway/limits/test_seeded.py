"""The properties notice defects: each of these, put into the scripts, breaks one of them.

The first sequences of `test_properties.py` are enough for all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.integration.gateway.limits.properties import broken
from tests.integration.gateway.limits.replay import Replay, sources
from tests.integration.gateway.limits.seeded import LOG_DEFECTS, Defect
from tests.integration.gateway.limits.seeded_answers import ANSWER_DEFECTS
from tests.support.limits_player import Command, Player, Setting
from tests.support.limits_sequences import sequence_of

ENOUGH = 3000


@pytest.fixture(scope="module")
def client(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def played() -> _Kept:
    """Sequences as the model plays them, each played once."""
    return _Kept()


class _Kept:
    """Plays a sequence when it is first asked for."""

    def __init__(self) -> None:
        self._kept: list[tuple[Setting, list[Command]]] = []

    def __iter__(self) -> Iterator[tuple[Setting, list[Command]]]:
        for number in range(ENOUGH):
            if number == len(self._kept):
                setting, actions, _ = sequence_of(number)
                self._kept.append((setting, Player(setting).play(actions)))
            yield self._kept[number]


@pytest.mark.parametrize(
    "defect", LOG_DEFECTS + ANSWER_DEFECTS, ids=lambda defect: defect.name.replace(" ", "-")
)
def test_a_defect_is_noticed(client: Redis, played: _Kept, defect: Defect) -> None:
    texts = sources()
    assert texts[defect.file].count(defect.right) == 1
    texts[defect.file] = texts[defect.file].replace(defect.right, defect.wrong)
    replay = Replay(client, texts)
    assert any(broken(setting, commands, replay.run(commands)) for setting, commands in played)
