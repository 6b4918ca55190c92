"""acquire.lua and report.lua against a brute-force model, with a clock that the test sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

BACK = 2_000_000
EPOCH = 1_700_000_000_000_000
START = EPOCH + 5_000_000

Windows = tuple[tuple[int, int], ...]
Step = tuple[str, int, int]


@dataclass
class Model:
    """Counts everything again for every question."""

    spans: tuple[int, ...]
    now: int = START
    grants: list[tuple[int, int]] = field(default_factory=list)
    paused: int = 0

    def take(self, want: int, limits: tuple[int, ...]) -> list[int]:
        if self.paused > self.now:
            return [0, self.paused - self.now, 2]
        at = max([self.now, *(stamp for stamp, _ in self.grants)])
        windows = tuple(zip(limits, self.spans, strict=True))
        granted = min([want, *(limit - self.used(at, span) for limit, span in windows)])
        granted = max(0, granted)
        if granted:
            self.grants.append((at, granted))
        if granted == want:
            return [granted, 0, 0]
        return [granted, self.opens(windows) - self.now, 1]

    def used(self, at: int, span: int) -> int:
        return sum(permits for stamp, permits in self.grants if stamp > at - span)

    def opens(self, windows: Windows) -> int:
        newest = max(stamp for stamp, _ in self.grants)
        times = {self.now} | {stamp + span for stamp, _ in self.grants for span in self.spans}
        return min(
            time
            for time in times
            if time >= self.now
            and all(self.used(max(time, newest), span) < limit for limit, span in windows)
        )


class Store:
    """The scripts in Redis, with the clock in two keys."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.sha = {name: self.load(name) for name in ("acquire", "report")}

    def load(self, name: str) -> str:
        text = files("gateway.limits").joinpath(f"{name}.lua").read_text()
        clock = "redis.call('TIME')"
        assert text.count(clock) == 1
        return str(self.client.script_load(text.replace(clock, "redis.call('MGET', 'sec', 'us')")))

    def reset(self) -> None:
        self.client.flushdb()
        self.client.set("fence", EPOCH)

    def run(self, name: str, now: int, *arguments: int) -> list[int]:
        pipeline = self.client.pipeline(transaction=False)
        pipeline.mset({"sec": now // 1_000_000, "us": now % 1_000_000})
        pipeline.evalsha(self.sha[name], 3, "fence", "log", "pause", EPOCH, *arguments)
        return list(pipeline.execute()[1])

    def take(self, now: int, want: int, windows: Windows) -> list[int]:
        flat = [number for window in windows for number in window]
        return self.run("acquire", now, want, 600_000, *flat)


@pytest.fixture(scope="module")
def scripts(redis_url: str) -> Iterator[Store]:
    with Redis.from_url(redis_url) as client:
        yield Store(client)


# Few and small times, so that what happens does so at the very edge of a window time and again.
TICKS = st.integers(0, 8)
SPANS = st.lists(st.integers(1, 16), min_size=1, max_size=3, unique=True)
LIMITS = st.lists(st.integers(1, 8), min_size=3, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 15), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 2), st.just(0)),
        st.tuples(st.just("later"), TICKS, st.just(0)),
        st.tuples(st.just("later"), st.just(1), st.just(0)),
        st.tuples(st.just("back"), TICKS, st.just(0)),
        st.tuples(st.just("report"), TICKS, st.integers(1, 6)),
        st.tuples(st.just("pause"), st.integers(1, 8), st.just(0)),
        st.tuples(st.just("limit"), st.integers(0, 2), st.integers(1, 8)),
    ),
    min_size=25,
    max_size=60,
)


@settings(max_examples=int(os.environ.get("LIMITER_SEQUENCES", "300")), deadline=None)
@given(tick=st.sampled_from([1, 97_003]), spans=SPANS, limits=LIMITS, steps=STEPS)
def test_the_log_grants_and_waits_exactly_like_counting_everything(
    scripts: Store, tick: int, spans: list[int], limits: list[int], steps: list[Step]
) -> None:
    scripts.reset()
    model = Model(tuple(span * tick for span in spans))
    limits = limits[: len(spans)]
    for action, number, more in steps:
        if action == "take":
            expected = model.take(number, tuple(limits))
            windows = tuple(zip(limits, model.spans, strict=True))
            assert scripts.take(model.now, number, windows) == [*expected, EPOCH, model.now]
        elif action == "report":
            model.grants.append((model.now - number * tick, more))
            assert scripts.run("report", model.now, 600_000, 0, number * tick, more)[2] == 0
        elif action == "pause":
            model.paused = max(model.paused, model.now + number * tick)
            scripts.run("report", model.now, 600_000, number * tick)
        elif action == "limit":
            limits[number % len(limits)] = more
        elif action == "later":
            model.now += number * tick
        else:
            newest = max((stamp for stamp, _ in model.grants), default=0)
            model.now = max(model.now - number * tick, newest - BACK)


def test_a_log_from_the_future_begins_a_new_epoch(scripts: Store) -> None:
    scripts.reset()
    window = ((5, 1_000_000),)
    scripts.take(START, 5, window)
    now = START - BACK - 1
    assert scripts.take(now, 1, window) == [0, 0, 3, now, now]
    assert int(str(scripts.client.get("fence"), "ascii")) == now
    assert not scripts.client.exists("log")


def test_a_fence_from_the_future_begins_a_new_epoch(scripts: Store) -> None:
    scripts.reset()
    now = EPOCH - BACK - 1
    assert scripts.take(now, 1, ((5, 1_000_000),)) == [0, 0, 3, now, now]


def test_a_missing_fence_begins_a_new_epoch_and_grants_nothing(scripts: Store) -> None:
    scripts.client.flushdb()
    assert scripts.take(START, 1, ((5, 1_000_000),)) == [0, 0, 3, START, START]


def test_a_caller_of_another_epoch_is_told_so_and_changes_nothing(scripts: Store) -> None:
    scripts.reset()
    scripts.client.set("fence", EPOCH + 1)
    assert scripts.take(START, 1, ((5, 1_000_000),))[2:4] == [3, EPOCH + 1]
    assert scripts.run("report", START, 600_000, 9, 5, 1)[2:4] == [3, EPOCH + 1]
    assert not scripts.client.exists("log", "pause")


@pytest.mark.parametrize("garbage", ["a string", "odd", "words", "words inside"])
def test_a_log_that_is_not_ours_begins_a_new_epoch(scripts: Store, garbage: str) -> None:
    scripts.reset()
    if garbage == "a string":
        scripts.client.set("log", "junk")
    elif garbage == "odd":
        scripts.client.rpush("log", START, 3, 0)
    elif garbage == "words":
        scripts.client.rpush("log", *["junk"] * 8)
    else:
        scripts.client.rpush("log", START - 1, 9, *["junk"] * 6, 0, 0)
    answer = scripts.take(START, 5, ((5, 1_000_000),))
    assert answer == [0, 0, 3, START, START]
    assert not scripts.client.exists("log")


def test_garbage_in_the_pause_is_no_pause(scripts: Store) -> None:
    for garbage in ("set", "rpush"):
        scripts.reset()
        getattr(scripts.client, garbage)("pause", "junk")
        assert scripts.take(START, 1, ((5, 1_000_000),))[:3] == [1, 0, 0]


def test_the_log_lives_for_two_of_its_longest_windows(scripts: Store) -> None:
    scripts.reset()
    scripts.run("acquire", START, 1, 121_700, 1000, 60_350_000)
    assert 121_000 < int(scripts.client.pttl("log")) <= 121_700  # type: ignore[arg-type]
    scripts.run("report", START, 121_700, 0, 5, 1)
    assert 121_000 < int(scripts.client.pttl("log")) <= 121_700  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [1_000_000, 100_000_000])
def test_the_log_keeps_no_more_than_the_grants_of_its_windows(scripts: Store, limit: int) -> None:
    scripts.reset()
    for number in range(2000):
        answer = scripts.take(START + number * 10_000, 16, ((limit, 1_000_000),))
        assert answer[0] == 16
    assert int(scripts.client.llen("log")) <= 2 * 102  # type: ignore[arg-type]


def test_a_long_report_is_merged_whole(scripts: Store) -> None:
    scripts.reset()
    grants = [number for age in range(12_000, 0, -1) for number in (age, 1)]
    scripts.run("report", START, 600_000, 0, *grants)
    window = ((20_000, 1_000_000),)
    assert scripts.take(START, 20_000, window)[0] == 8_000
