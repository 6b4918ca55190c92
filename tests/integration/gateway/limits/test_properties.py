"""The scripts against a model that counts everything again, in any order of what may happen.

`LARK_SEQUENCES` says how many sequences are played (`make properties` plays ten thousand).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.integration.gateway.limits.replay import SEQUENCES, Replay, sources
from tests.support.limits_sequences import sequence_of


@pytest.fixture(scope="module")
def replay(redis_url: str) -> Iterator[Replay]:
    with Redis.from_url(redis_url) as client:
        yield Replay(client, sources())


def test_every_answer_is_that_of_counting_everything(replay: Replay) -> None:
    for number in range(SEQUENCES):
        setting, actions, _ = sequence_of(number)
        if replay.first_wrong(setting, actions) is not None:
            short = replay.shortest(setting, actions)
            command, reply = replay.first_wrong(setting, short) or (None, None)
            pytest.fail(f"{number}\n{setting}\n{short}\n{command}\nreplied {reply}")
