"""What a bucket goes by of which little was seen."""

from __future__ import annotations

from typing import cast

from gateway.limits.buckets import USUAL, Bucket
from gateway.limits.ledgers import Ledgers
from gateway.limits.store import LimitStore
from gateway.limits.travel import ENOUGH, LEAST
from schemas.apis import Window

CHAT = Bucket("chat", (Window(5, 1),), name="chat")


def test_a_bucket_goes_by_its_own_travel_times_then_by_those_of_all() -> None:
    ledgers = Ledgers(cast(LimitStore, None), lambda: 100.0)
    assert ledgers.margins(CHAT) == USUAL
    for _ in range(ENOUGH):
        ledgers.travel.add(99.98, 100.0)
    assert ledgers.margins(CHAT).short == LEAST
    own = ledgers.of(CHAT).travel
    for taken in (0.02, 0.08, *[0.05] * ENOUGH):
        own.add(100.0 - taken, 100.0)
    assert round(ledgers.margins(CHAT).short, 6) == 0.09
