"""The local share, in virtual time: safe for the fleet in every window, and not at a standstill."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.buckets import Bucket, span
from gateway.limits.grant import Ask, Grant
from gateway.limits.ledger import Ledger
from gateway.limits.local import LocalShare, Place, share_of
from schemas.apis import Window


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands until told to move."""

    now = 1000.0

    def time(self) -> float:
        return self.now


class Fleet:
    """Processes without a store, in one virtual time."""

    def __init__(self, loop: VirtualLoop, bucket: Bucket, live: int) -> None:
        self.loop, self.bucket = loop, bucket
        self.members = [(LocalShare(), Ledger(bucket), Place(live, rank)) for rank in range(live)]
        self.sent: list[tuple[float, int]] = []

    def take(self, rank: int, want: int) -> Grant:
        share, ledger, place = self.members[rank]
        now = self.loop.now
        ask = Ask((self.bucket,), want)
        taking = share.take(ask, [ledger], place, (now, now + 12345.0))
        grant = self.loop.run_until_complete(taking)
        if grant.granted:
            ledger.add(now, grant.granted, None)
            self.sent.append((now, grant.granted))
        return grant

    def most_within(self, seconds: float) -> int:
        return max(
            (sum(n for at, n in self.sent if end - seconds < at <= end) for end, _ in self.sent),
            default=0,
        )

    def run_saturated(self, seconds: float) -> None:
        """Every process asks for plenty, and again whenever its last answer says so."""
        due = [self.loop.now] * len(self.members)
        end = self.loop.now + seconds
        while min(due) < end:
            rank = due.index(min(due))
            self.loop.now = max(self.loop.now, due[rank])
            grant = self.take(rank, 16)
            assert grant.wait > 0 or grant.granted == 16
            due[rank] = self.loop.now + grant.wait


@pytest.fixture(scope="module")
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


WINDOWS = st.sampled_from(
    [
        (Window(1, 1),),
        (Window(3, 1),),
        (Window(5, 1),),
        (Window(50, 1),),
        (Window(10, 60),),
        (Window(1000, 60), Window(50, 1)),
        (Window(1_000_000, 1),),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    windows=WINDOWS,
    live=st.integers(1, 9),
    steps=st.lists(
        st.tuples(st.integers(0, 8), st.integers(1, 40), st.floats(0, 0.7)), max_size=80
    ),
)
def test_no_window_of_the_fleet_ever_exceeds_its_limit(
    loop: VirtualLoop,
    windows: tuple[Window, ...],
    live: int,
    steps: list[tuple[int, int, float]],
) -> None:
    fleet = Fleet(loop, Bucket("b", windows), live)
    for rank, want, later in steps:
        loop.now += later
        fleet.take(rank % live, want)
    for window in windows:
        assert fleet.most_within(span(window)) <= window.limit


@pytest.mark.parametrize("live", [1, 2, 4, 9])
@pytest.mark.parametrize("text", ["1/1", "5/1", "50/1", "20/60"])
def test_a_saturated_fleet_gets_most_of_its_safe_share_and_no_more(
    loop: VirtualLoop, text: str, live: int
) -> None:
    limit, seconds = map(int, text.split("/"))
    window = Window(limit, seconds)
    fleet = Fleet(loop, Bucket("b", (window,)), live)
    fleet.run_saturated(10 * seconds)
    assert fleet.most_within(span(window)) <= limit
    safe = sum(_per_second(window, Place(live, rank)) for rank in range(live)) * 10 * seconds
    assert sum(n for _, n in fleet.sent) >= 0.75 * safe - live


def _per_second(window: Window, place: Place) -> float:
    share = share_of(window, place)
    return share.permits / (share.cycle or share.seconds)


def test_what_the_store_granted_last_counts_against_the_share(loop: VirtualLoop) -> None:
    bucket = Bucket("b", (Window(50, 1),))
    fleet = Fleet(loop, bucket, 1)
    fleet.members[0][1].add(loop.now, 45, 7)
    fleet.sent.append((loop.now, 45))
    fleet.run_saturated(3)
    assert fleet.most_within(span(bucket.windows[0])) <= 50


def test_it_starts_without_a_burst(loop: VirtualLoop) -> None:
    fleet = Fleet(loop, Bucket("b", (Window(1000, 60),)), 1)
    assert fleet.take(0, 100).granted == 0
    loop.now += 0.2
    assert 1 <= fleet.take(0, 100).granted <= 4


def test_a_share_below_one_permit_is_taken_in_turns(loop: VirtualLoop) -> None:
    fleet = Fleet(loop, Bucket("b", (Window(1, 1),)), 4)
    fleet.run_saturated(30)
    times = sorted(at for at, _ in fleet.sent)
    assert min(later - sooner for sooner, later in itertools.pairwise(times)) >= 1.1
    assert len(times) >= 20


def test_a_new_limit_or_a_new_number_of_processes_counts_at_once(loop: VirtualLoop) -> None:
    assert share_of(Window(50, 1), Place(1, 0)).permits == 40
    assert share_of(Window(50, 1), Place(3, 0)).permits == 13
    fleet = Fleet(loop, Bucket("b", (Window(50, 1),)), 1)
    fleet.run_saturated(2)
    fleet.bucket = Bucket("b", (Window(5, 1),))
    loop.now += 1.2
    fleet.sent.clear()
    fleet.run_saturated(2)
    assert fleet.most_within(1.1) <= 5
