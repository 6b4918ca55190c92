"""The local share and its ledger against counting everything, in virtual time and in memory.

`LARK_SEQUENCES` says how many sequences (`make properties` runs ten thousand).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from gateway.limits.buckets import Bucket, span
from gateway.limits.grant import Grant
from gateway.limits.ledger import Ledger
from gateway.limits.local import LocalShare, Place, share_of
from schemas.apis import Window

SEQUENCES = int(os.environ.get("LARK_SEQUENCES", "500"))
CLOCKS_APART = 12345.0
TICK = 1e-6  # no clock stands still between two questions
CHOICES = (
    (Window(1, 1),),
    (Window(3, 1),),
    (Window(5, 1),),
    (Window(50, 1),),
    (Window(7000, 1),),
    (Window(10, 60),),
    (Window(1, 86_400),),
    (Window(1_000_000, 60),),
    (Window(1000, 60), Window(50, 1)),
    (Window(20, 60), Window(3, 1)),
    (Window(3, 60), Window(1, 1)),
)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands until told to move."""

    now = 1000.0

    def time(self) -> float:
        return self.now


@dataclass
class Process:
    """One process's share, and all it was ever granted."""

    place: Place
    ledger: Ledger
    share: LocalShare = field(default_factory=LocalShare)
    sent: list[tuple[float, int]] = field(default_factory=list)

    def take(self, loop: VirtualLoop, want: int) -> Grant:
        loop.now += TICK
        times = (loop.now, loop.now + CLOCKS_APART)
        bucket = self.ledger.bucket
        taking = self.share.take(bucket, want, self.ledger, self.place, times)
        grant = loop.run_until_complete(taking)
        if grant.granted:
            self.ledger.add(loop.now, grant.granted, None)
            self.sent.append((loop.now, grant.granted))
        return grant


@pytest.fixture(scope="module")
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def most_within(sent: list[tuple[float, int]], seconds: float) -> int:
    """The most in any so many seconds: every window that ends with a grant is counted."""
    return max(
        (sum(n for at, n in sent if end - seconds < at <= end) for end, _ in sent), default=0
    )


def fleet_of(random: Random) -> list[Process]:
    bucket = Bucket("b", random.choice(CHOICES))
    live = random.randint(1, 9)
    return [Process(Place(live, rank), Ledger(bucket)) for rank in range(live)]


def pause_before_next(random: Random, windows: tuple[Window, ...], wait: float) -> float:
    """At once, when the last answer said, at the edge of a window, or at any time between."""
    seconds = random.choice([span(window) for window in windows])
    choices = [0.0, 0.0, wait, wait + 1e-9, random.random() * seconds, seconds, seconds / 30]
    return random.choice(choices)


def test_no_share_and_no_fleet_exceeds_a_window_at_any_interleaving(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES):
        random = Random(number)
        fleet = fleet_of(random)
        windows = fleet[0].ledger.bucket.windows
        wait = 0.0
        for _ in range(random.randint(5, 60)):
            loop.now += pause_before_next(random, windows, wait)
            want = random.choice([1, 1, 2, 16, 5000])
            grant = random.choice(fleet).take(loop, want)
            assert 0 <= grant.granted <= want
            assert (grant.wait > 0) == (grant.granted < want)
            wait = grant.wait
        everything = [sent for process in fleet for sent in process.sent]
        for window in windows:
            assert most_within(everything, span(window)) <= window.limit, number
            share = int(0.8 * window.limit / len(fleet)) or 1
            for process in fleet:
                assert most_within(process.sent, span(window)) <= share, number


def test_whoever_asks_again_when_told_gets_a_permit(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES):
        random = Random(number)
        fleet = fleet_of(random)
        for _ in range(6):
            process = random.choice(fleet)
            # Several windows open one after the other, and a pace is told from below.
            for _ in range(40):
                if (grant := process.take(loop, random.choice([1, 3, 16]))).granted:
                    break
                loop.now += grant.wait
            assert grant.granted, number


def test_after_all_windows_the_whole_share_is_there_again(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES // 5):
        random = Random(number)
        [process, *_] = fleet_of(random)
        windows = process.ledger.bucket.windows
        for _ in range(10):
            loop.now += pause_before_next(random, windows, 0.0)
            process.take(loop, 16)
        loop.now += 1.05 * process.ledger.bucket.longest
        assert process.ledger.is_idle(loop.now), number
        share = min(share_of(window, process.place).permits for window in windows)
        total = 0
        begun = loop.now
        longest = process.ledger.bucket.longest
        while total < share and loop.now < begun + longest * process.place.live * 2:
            grant = process.take(loop, 5000)
            total += grant.granted
            loop.now += grant.wait
        assert total >= share, number


def test_the_ledger_counts_no_less_than_there_is_and_hardly_more() -> None:
    for number in range(SEQUENCES):
        random = Random(number)
        bucket = Bucket("b", random.choice(CHOICES))
        ledger, true = Ledger(bucket), list[tuple[float, int]]()
        grain = min(bucket.spans) / 50
        now = 1000.0
        for _ in range(random.randint(5, 60)):
            now += random.choice([0, 1e-6, grain / 3, grain, random.random() * bucket.longest])
            if random.random() < 0.7:
                permits = random.randint(1, 9)
                ledger.add(now, permits, random.choice([None, 7, 7, 8]))
                true.append((now, permits))
            seconds = random.choice(bucket.spans)
            used = ledger.used(now, seconds)
            least = sum(n for at, n in true if at > now - seconds)
            most = sum(n for at, n in true if at > now - seconds - grain * 1.001)
            assert least <= used <= most, number
            limit = random.randint(1, 40)
            opens = ledger.opens(now, seconds, limit)
            later = sum(n for at, n in true if at > now + opens - seconds)
            assert later < limit, number
            assert opens == 0 or sum(n for at, n in true if at > now - seconds - grain) >= limit
