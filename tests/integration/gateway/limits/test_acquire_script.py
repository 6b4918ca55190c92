"""The scripts where a sequence does not lead: keys that are not theirs, size and lifetime.

What they answer otherwise is held in test_properties.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.integration.gateway.limits.replay import Replay, sources
from tests.support.limits_grants import Shape, Window
from tests.support.limits_model import BACK, Ask
from tests.support.limits_player import EPOCH, START, Player, Setting

SECOND = Shape((Window(5, 1_000_000, 1_000_000),))
LOG, STATE, PLACES = (f"{EPOCH}:a:{kind}" for kind in ("log", "state", "places"))


class Script:
    """Asks of one bucket, at times that the test gives."""

    def __init__(self, replay: Replay) -> None:
        self.replay, self.client = replay, replay.client
        replay.run([])

    def take(self, now: int, want: int, shape: Shape = SECOND) -> list[int]:
        return self.run(shape, now, "take", (Ask(("a",), want, holder="one"),))

    def run(self, shape: Shape, now: int, *action: object) -> list[int]:
        setting = Setting({"a": shape}, 0, ())
        [command] = Player(setting, now).play([action])
        return list(self.replay.go_on([command])[0])

    def lifetime(self, key: str) -> int:
        return int(self.client.pttl(key))  # type: ignore[arg-type]


@pytest.fixture
def script(redis_url: str) -> Iterator[Script]:
    with Redis.from_url(redis_url) as client:
        yield Script(Replay(client, sources()))


def test_a_log_from_the_future_begins_a_new_epoch(script: Script) -> None:
    script.take(START, 5)
    now = START - BACK - 1
    assert script.take(now, 1) == [3, now, now]
    assert int(str(script.client.get("fence"), "ascii")) == now
    assert not script.client.exists(LOG)


def test_a_fence_from_the_future_begins_a_new_epoch(script: Script) -> None:
    now = EPOCH - BACK - 1
    assert script.take(now, 1) == [3, now, now]


def test_a_missing_fence_begins_a_new_epoch_and_grants_nothing(script: Script) -> None:
    script.client.flushdb()
    assert script.take(START, 1) == [3, START, START]


def test_a_caller_of_another_epoch_is_told_so_and_changes_nothing(script: Script) -> None:
    script.client.set("fence", EPOCH + 1)
    for action in (
        ("take", (Ask(("a",), 1),)),
        ("report", "a", ((9, 5),)),
        ("refuse", "a", 9, 5),
        ("renew", "a", "one"),
    ):
        assert script.run(SECOND, START, *action) == [3, EPOCH + 1, START]
    assert not script.client.exists(LOG, STATE, PLACES)


@pytest.mark.parametrize("garbage", ["a string", "odd", "words", "words inside"])
def test_a_log_that_is_not_ours_begins_a_new_epoch(script: Script, garbage: str) -> None:
    if garbage == "a string":
        script.client.set(LOG, "junk")
    elif garbage == "odd":
        script.client.rpush(LOG, START, 3, 0)
    elif garbage == "words":
        script.client.rpush(LOG, *["junk"] * 8)
    else:
        script.client.rpush(LOG, START - 1, 9, *["junk"] * 6, 0, 0)
    assert script.take(START, 5) == [3, START, START]
    assert not script.client.exists(LOG)


@pytest.mark.parametrize("key", [STATE, PLACES])
def test_a_state_or_places_that_are_not_ours_begin_a_new_epoch(script: Script, key: str) -> None:
    script.client.set(key, "junk")
    assert script.take(START, 1, SECOND._replace(at_once=1)) == [3, START, START]
    assert not script.client.exists(key)


@pytest.mark.parametrize("field", ["until", "canary", "factor", "extra", "at", "seen"])
def test_words_in_a_state_begin_a_new_epoch(script: Script, field: str) -> None:
    script.client.hset(STATE, field, "junk")
    assert script.take(START, 1) == [3, START, START]


def test_a_log_is_kept_for_as_long_as_told(script: Script) -> None:
    script.take(START, 1)
    assert 599_000 < script.lifetime(LOG) <= 600_000
    script.client.persist(LOG)
    script.run(SECOND, START, "report", "a", ((5, 1),))
    assert 599_000 < script.lifetime(LOG) <= 600_000


def test_what_was_learnt_is_kept_for_a_day_and_places_no_longer_than_needed(
    script: Script,
) -> None:
    script.run(SECOND, START, "refuse", "a", 1_000_000, 0)
    assert script.lifetime(STATE) > 86_000_000
    script.take(START, 1, Shape((), at_once=1))
    assert script.lifetime(PLACES) == -2
    script.take(START + 1_000_000, 1, Shape((), at_once=1))
    assert 0 < script.lifetime(PLACES) <= 10_000


@pytest.mark.parametrize("limit", [1_000_000, 100_000_000])
def test_the_log_keeps_no_more_than_the_grants_of_its_windows(script: Script, limit: int) -> None:
    shape = Shape((Window(limit, 1_000_000, 1_000_000),))
    for number in range(2000):
        assert script.take(START + number * 10_000, 16, shape)[3] == 16
    assert int(script.client.llen(LOG)) <= 2 * 102  # type: ignore[arg-type]


def test_a_day_takes_no_more_entries_than_it_has_grains(script: Script) -> None:
    minute, day = 60_000_000, 86_400_000_000
    shape = Shape((Window(1_000_000, day + minute + 350_000, day),), 0, minute)
    for number in range(5000):
        assert script.take(START + number * day // 2000, 16, shape)[3] == 16
    assert int(script.client.llen(LOG)) <= 2 * 1445  # type: ignore[arg-type]


def test_a_long_report_is_merged_whole(script: Script) -> None:
    shape = Shape((Window(20_000, 1_000_000, 1_000_000),))
    grants = tuple((age, 1) for age in range(12_000, 0, -1))
    script.run(shape, START, "report", "a", grants)
    assert script.take(START, 9_000, shape)[3] == 8_000
