"""The models are judged against servers that count by brute force, one for each model."""

from __future__ import annotations

import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable

import pytest

from gateway.limits.buckets import Bucket
from gateway.limits.shadow import MODELS, UNDECIDED, Answered, Shadow, Tier
from gateway.limits.shadow_windows import EXACT, FixedMeter, Newest
from schemas.apis import Window, parse_windows

Used = Callable[[list[float], Window, float], int]
TIERS = ("5/1", "50/1", "100/60", "300/60;50/1")


def sliding(taken: list[float], window: Window, now: float) -> int:
    return len(taken) - bisect_right(taken, now - window.seconds)


def aligned(taken: list[float], window: Window, now: float) -> int:
    return len(taken) - bisect_left(taken, now - now % window.seconds)


def first_hit(taken: list[float], window: Window, now: float) -> int:
    place, start = 0, float("-inf")
    while place < len(taken):
        start = taken[place]
        after = bisect_left(taken, start + window.seconds)
        if after == len(taken):
            break
        place = after
    return len(taken) - place if now < start + window.seconds else 0


SERVERS: dict[str, Used] = {"aligned": aligned, "first_hit": first_hit, "sliding": sliding}


def observe(tier: str, server: str, *, travel: float = 0.02, seed: int = 1) -> Tier:
    """Bursts at random times, above the limit; each request travels for up to *travel* seconds."""
    chance, shadow = random.Random(seed), Shadow()
    bucket = Bucket("app||api", parse_windows(tier))
    rate = min(window.limit / window.seconds for window in bucket.windows)
    calls: list[tuple[float, float, float]] = []
    now = 1_800_000_000.0
    while len(calls) < 2500:
        # What a burst and the pause before it bring together is one and a half of the limit.
        pause = chance.uniform(0.1, 1.4) * bucket.windows[0].seconds
        now += pause
        for _ in range(max(4, int(1.5 * rate * pause))):
            sent = now + chance.uniform(0, pause)
            arrives = sent + chance.uniform(0.001, travel)
            calls.append((arrives, sent, arrives + chance.uniform(0.001, travel)))
    taken: list[float] = []
    answered = []
    for arrives, sent, answer in sorted(calls):
        windows = bucket.windows
        full = any(SERVERS[server](taken, w, arrives) >= w.limit for w in windows)
        if not full:
            taken.append(arrives)
        answered.append(Answered(bucket, sent, answer, full))
    for call in sorted(answered, key=lambda call: call.answered_at):
        shadow.feed(call)
    shadow.finish()
    return shadow.tiers[tier]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("tier", TIERS)
def test_the_model_of_the_server_fits(tier: str, server: str) -> None:
    seen = observe(tier, server)
    assert seen.rejections > 10
    assert seen.fits == server
    assert seen.scores[server].errors < 0.05 * seen.calls


@pytest.mark.parametrize("server", SERVERS)
def test_the_right_model_never_errs_where_nothing_travels(server: str) -> None:
    seen = observe("5/1", server, travel=0.001)
    score = seen.scores[server]
    assert score.errors == 0
    assert score.foreseen + score.unsure >= seen.rejections


def test_the_margin_is_what_a_log_of_departures_lacks() -> None:
    """A server that counts 0.2 s longer than its window: with that margin nothing is refused."""
    shadow, bucket = Shadow(), Bucket("app||api", (Window(1, 1),))
    for at, rejected in ((0.0, False), (1.05, True), (1.15, True), (1.2, False), (2.3, True)):
        shadow.feed(Answered(bucket, 1000 + at, 1000 + at, rejected, 1.0))
    shadow.finish()
    assert shadow.tiers["1/1"].scores["sliding"].margin == pytest.approx(0.15)
    assert shadow.tiers["1/1"].scores["sliding"].unexplained == 0


def test_a_rejection_far_below_the_limit_is_somebody_elses_use() -> None:
    shadow, bucket = Shadow(), Bucket("app||api", (Window(50, 1),))
    shadow.feed(Answered(bucket, 1000.0, 1000.1, rejected=True, reset=1.0))
    shadow.finish()
    assert {score.unexplained for score in shadow.tiers["50/1"].scores.values()} == {1}


def test_a_told_reset_is_compared_with_the_end_of_the_models_window() -> None:
    shadow, bucket = Shadow(), Bucket("app||api", (Window(1, 60),))
    # The minute by the clock ends 15 s after the first call, the one it begins after 60 s.
    start = 60 * 30_000_000 + 45.0
    shadow.feed(Answered(bucket, start, start, rejected=False))
    shadow.feed(Answered(bucket, start + 1, start + 1, rejected=True, reset=14.0))
    shadow.finish()
    right = {name: score.resets_right for name, score in shadow.tiers["1/60"].scores.items()}
    assert right == {"aligned": 1, "first_hit": 0, "sliding": 0}


def test_without_rejections_nothing_is_decided() -> None:
    assert Tier().fits == UNDECIDED
    tier = Tier(calls=1000)
    tier.scores["sliding"].false_alarms = 100
    assert tier.fits == UNDECIDED


def test_answers_that_come_out_of_order_are_judged_in_order_of_arrival() -> None:
    shadow, bucket = Shadow(), Bucket("app||api", (Window(1, 1),))
    shadow.feed(Answered(bucket, 1001.0, 1001.0, rejected=True))
    shadow.feed(Answered(bucket, 1000.2, 1001.2, rejected=False))
    assert shadow.tiers == {}
    shadow.finish()
    assert shadow.tiers["1/1"].scores["sliding"].foreseen == 1


def test_a_window_of_a_million_is_counted_in_bounded_memory_and_time() -> None:
    newest = Newest(Window(1_000_000, 60))
    began = time.perf_counter()
    for number in range(200_000):
        newest.add(1000 + number / 4000)
    assert time.perf_counter() - began < 2
    assert len(newest) <= 101
    exact = Newest(Window(EXACT, 60))
    for number in range(20_000):
        exact.add(1000 + number / 4000)
    assert len(exact) == EXACT
    assert exact.filled_by == 1000 + 15_000 / 4000


def test_a_bucket_without_windows_is_left_out() -> None:
    shadow = Shadow()
    shadow.feed(Answered(Bucket("doc", (), at_once=1), 1.0, 2.0, rejected=True))
    shadow.finish()
    assert shadow.tiers == {}


def test_what_is_remembered_of_many_buckets_is_bounded() -> None:
    shadow = Shadow()
    for number in range(400):
        bucket = Bucket(f"chat{number}", (Window(5, 1),))
        shadow.feed(Answered(bucket, float(number), float(number), rejected=False))
    assert len(shadow._meters) <= 128
    assert set(MODELS) == set(Tier().scores)


def test_a_refusal_settles_in_which_window_a_request_at_the_edge_was_counted() -> None:
    meter = FixedMeter(Window(2, 1), aligned=True)
    meter.take(1000.99, doubt=0.05)
    meter.take(1001.3, doubt=0.01)
    assert meter.is_full(1001.5, doubt=0.01) is None
    meter.refuse(1001.5)
    assert meter.is_full(1001.6, doubt=0.01) is True
    assert meter.opens == 1002
