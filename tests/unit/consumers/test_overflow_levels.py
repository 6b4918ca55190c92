"""How full the overflow queues of one bucket are, when it has several."""

from __future__ import annotations

from consumers.backlog import Backlog
from consumers.overflow_levels import OverflowLevels
from gateway.limits.buckets import Bucket
from gateway.metrics import Metrics
from gateway.overflow_queues import OverflowQueue

BUCKET = Bucket("one|api", (), name="api")
OWN, POOLS = (OverflowQueue.of(alias, "bulk", BUCKET) for alias in ("one", "all"))


def test_an_apps_own_calls_and_those_of_its_pools_count_together() -> None:
    backlog = Backlog()
    levels = OverflowLevels(backlog, Metrics())
    levels.seen(OWN, 5, 1.0)
    levels.seen(POOLS, 2, 2.0)
    assert backlog.depth(BUCKET.key, "bulk") == 7
    levels.seen(POOLS, 0, 3.0)
    assert backlog.depth(BUCKET.key, "bulk") == 5
    levels.gone(POOLS)
    assert backlog.depth(BUCKET.key, "bulk") == 5
    levels.gone(OWN)
    assert backlog.depth(BUCKET.key, "bulk") == 0
