"""The local share and its ledger against counting everything, in virtual time and in memory.

`LARK_SEQUENCES` says how many sequences (`make properties` runs ten thousand).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from random import Random

import pytest

from gateway.limits.buckets import Bucket, span
from gateway.limits.grant import Ask, Grant
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

Sent = list[tuple[float, int]]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands until told to move."""

    now = 1000.0

    def time(self) -> float:
        return self.now


class Process:
    """One process's share of some buckets, and all it was ever granted."""

    def __init__(self, place: Place, buckets: tuple[Bucket, ...]) -> None:
        self.place = place
        self.share = LocalShare()
        self.ledgers = [Ledger(bucket) for bucket in buckets]
        self.sent: list[Sent] = [[] for _ in buckets]

    def take(self, loop: VirtualLoop, want: int, which: tuple[int, ...], holder: str = "") -> Grant:
        loop.now += TICK
        times = (loop.now, loop.now + CLOCKS_APART)
        ledgers = [self.ledgers[index] for index in which]
        ask = Ask(tuple(ledger.bucket for ledger in ledgers), want, holder=holder)
        grant = loop.run_until_complete(self.share.take(ask, ledgers, self.place, times))
        for index in which if grant.granted else ():
            self.ledgers[index].add(loop.now, grant.granted, None)
            self.ledgers[index].holders |= {holder} - {""}
            self.sent[index].append((loop.now, grant.granted))
        return grant


@pytest.fixture(scope="module")
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def most_within(sent: Sent, seconds: float) -> int:
    """The most in any so many seconds: every window that ends with a grant is counted."""
    return max(
        (sum(n for at, n in sent if end - seconds < at <= end) for end, _ in sent), default=0
    )


def fleet_of(random: Random, buckets: int = 1) -> list[Process]:
    shared = tuple(Bucket(f"b{index}", random.choice(CHOICES)) for index in range(buckets))
    live = random.randint(1, 9)
    return [Process(Place(live, rank), shared) for rank in range(live)]


def jump_of(random: Random, windows: tuple[Window, ...], wait: float) -> float:
    """At once, when the last answer said, at the edge of a window, or at any time between."""
    seconds = random.choice([span(window) for window in windows])
    choices = [0.0, 0.0, wait, wait + 1e-9, random.random() * seconds, seconds, seconds / 30]
    return random.choice(choices)


def test_no_share_and_no_fleet_exceeds_a_window_at_any_interleaving(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES):
        random = Random(number)
        fleet = fleet_of(random, buckets=2)
        for process in fleet:
            store_granted(random, process, loop.now)
        process, wait = fleet[0], 0.0
        for _ in range(random.randint(5, 60)):
            which = random.choice([(0,), (1,), (0, 1), (1, 0)])
            loop.now += jump_of(random, fleet[0].ledgers[which[0]].bucket.windows, wait)
            process = random.choice([process, random.choice(fleet)])
            want = random.choice([1, 1, 2, 16, 5000])
            grant = process.take(loop, want, which)
            assert 0 <= grant.granted <= want
            assert (grant.wait > 0) == (grant.granted < want)
            assert (grant.bucket in range(len(which))) == (grant.granted < want)
            wait = grant.wait
        for index, ledger in enumerate(fleet[0].ledgers):
            everything = [one for process in fleet for one in process.sent[index]]
            for window in ledger.bucket.windows:
                assert most_within(everything, span(window)) <= window.limit, number
                share = int(0.8 * window.limit / len(fleet)) or 1
                for process in fleet:
                    assert most_within(process.sent[index], span(window)) <= share, number


def store_granted(random: Random, process: Process, now: float) -> None:
    """What a process had of the store before it was lost counts, here at most its share."""
    for index, ledger in enumerate(process.ledgers):
        limit = min(window.limit for window in ledger.bucket.windows)
        granted = random.randint(0, int(0.8 * limit / process.place.live))
        if granted:
            ledger.add(now, granted, 7)
            process.sent[index].append((now, granted))


def test_whoever_asks_again_when_told_gets_a_permit(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES):
        random = Random(number)
        fleet = fleet_of(random)
        for _ in range(6):
            process = random.choice(fleet)
            grant = process.take(loop, random.choice([1, 3, 16]), (0,))
            # Two windows may open one after the other, and in turns that seldom meet.
            for _ in range(40):
                if grant.granted:
                    break
                loop.now += grant.wait
                grant = process.take(loop, random.choice([1, 3, 16]), (0,))
            assert grant.granted, number


def test_what_one_bucket_refuses_costs_the_other_nothing(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES // 5):
        random = Random(number)
        windows = random.choice(CHOICES[3:5])
        pairs = []
        for refused in (False, True):
            buckets = (Bucket("free", windows), Bucket("full", (Window(1, 86_400),)))
            process = Process(Place(1, 0), buckets)
            process.ledgers[1].add(loop.now, 1, 7)
            process.take(loop, 1, (0,))
            for _ in range(20 if refused else 0):
                assert process.take(loop, 16, random.choice([(0, 1), (1, 0)])).granted == 0
            loop.now += 1.1 * process.ledgers[0].bucket.longest
            pairs.append(process.take(loop, 5000, (0,)).granted)
        assert pairs[0] == pairs[1] > 0, number


def test_the_places_of_a_fleet_are_all_with_one_process(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES):
        random = Random(number)
        live = random.randint(1, 9)
        bucket = Bucket(f"b{number}", (), at_once=random.randint(1, 3))
        fleet = [Process(Place(live, rank), (bucket,)) for rank in range(live)]
        for _ in range(40):
            process = random.choice(fleet)
            holder = f"{process.place.rank}-{random.randint(0, 3)}"
            if random.random() < 0.3:
                process.ledgers[0].holders.discard(holder)
            else:
                held = holder in process.ledgers[0].holders
                assert process.take(loop, 1, (0,), holder).granted or not held
            assert sum(len(one.ledgers[0].holders) for one in fleet) <= bucket.at_once, number
        for process in fleet:
            process.ledgers[0].holders.clear()
        assert sum(process.take(loop, 1, (0,), "last").granted for process in fleet) == 1


def test_after_all_windows_the_whole_share_is_there_again(loop: VirtualLoop) -> None:
    for number in range(SEQUENCES // 5):
        random = Random(number)
        [process, *_] = fleet_of(random)
        [ledger] = process.ledgers
        windows, longest = ledger.bucket.windows, ledger.bucket.longest
        for _ in range(10):
            loop.now += jump_of(random, windows, 0.0)
            process.take(loop, 16, (0,))
        loop.now += 1.05 * longest
        assert ledger.is_idle(loop.now), number
        share = min(share_of(window, process.place).permits for window in windows)
        begun, total = loop.now, 0
        while total < share and loop.now < begun + longest * process.place.live * 2:
            grant = process.take(loop, 5000, (0,))
            total += grant.granted
            loop.now += max(grant.wait, longest / 500 if grant.granted else 0)
        assert total >= share, number


def test_the_ledger_counts_no_less_than_there_is_and_hardly_more() -> None:
    for number in range(SEQUENCES):
        random = Random(number)
        bucket = Bucket("b", random.choice(CHOICES))
        ledger, true = Ledger(bucket), list[tuple[float, int]]()
        grain = min(bucket.spans()) / 50
        now = 1000.0
        for _ in range(random.randint(5, 60)):
            now += random.choice([0, 1e-6, grain / 3, grain, random.random() * bucket.longest])
            if random.random() < 0.7:
                permits = random.randint(1, 9)
                ledger.add(now, permits, random.choice([None, 7, 7, 8]))
                true.append((now, permits))
            seconds = random.choice(bucket.spans())
            used = ledger.used(now, seconds)
            least = sum(n for at, n in true if at > now - seconds)
            most = sum(n for at, n in true if at > now - seconds - grain * 1.001)
            assert least <= used <= most, number
            limit = random.randint(1, 40)
            opens = ledger.opens(now, seconds, limit)
            later = sum(n for at, n in true if at > now + opens - seconds)
            assert later < limit, number
            assert opens == 0 or sum(n for at, n in true if at > now - seconds - grain) >= limit
