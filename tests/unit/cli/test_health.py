"""What findings mean, and that no question holds the others up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from cli.audit import Finding, Kind
from cli.health.broker import DEEP, MANY_DEAD, TOO_DEEP, Depth, of_depths
from cli.health.check import Check, Probe, Status, degraded, healthy, run_all, unhealthy, worst
from cli.health.machine import of_findings, of_share
from cli.health.stores import of_memory, of_transactions
from schemas import names

H, D, U = Status
CALLS = names.calls_queue("default", "bulk")
RETRY = names.retry_queue("default")


def statuses(checks: Sequence[Check]) -> list[tuple[str, Status]]:
    return [(check.name, check.status) for check in checks]


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    assert worst([]) is H
    assert worst([healthy("a", ""), degraded("b", "")]) is D
    assert worst([unhealthy("a", ""), degraded("b", ""), healthy("c", "")]) is U


async def test_who_does_not_answer_in_time_is_told_and_holds_nobody_up() -> None:
    async def never() -> Sequence[Check]:
        await asyncio.Event().wait()
        return []

    async def at_once() -> Sequence[Check]:
        return [healthy("b", "well"), healthy("c", "well")]

    found = await run_all([Probe("a", never, U), Probe("b", at_once, D)], seconds=0.05)

    assert statuses(found) == [("a", U), ("b", H), ("c", H)]
    assert found[0].message == "no answer within 0.05 s"


@pytest.mark.parametrize(
    ("kinds", "usable", "status"),
    [
        ([], True, H),
        ([Kind.ADVICE], True, H),
        ([Kind.WEAK, Kind.UNKNOWN], True, D),
        ([Kind.PLACEHOLDER], True, U),
        ([Kind.MISSING], False, U),
    ],
)
def test_settings_are_judged_by_their_gravest_mistake(
    kinds: list[Kind], usable: bool, status: Status
) -> None:
    found = of_findings([Finding("X", kind, "so") for kind in kinds], usable=usable)

    assert found.status is status


@pytest.mark.parametrize(("free", "status"), [(50, H), (10, H), (9, D)])
def test_little_room_is_degraded(free: int, status: Status) -> None:
    assert of_share("disk", free, 100).status is status


@pytest.mark.parametrize(("used", "most", "status"), [(95, 0, H), (89, 100, H), (95, 100, D)])
def test_redis_is_degraded_when_its_memory_is_nearly_used(
    used: int, most: int, status: Status
) -> None:
    assert of_memory({"used_memory": used, "maxmemory": most}, 1.0).status is status


def test_a_long_transaction_is_named_with_how_to_end_it() -> None:
    row = {"pid": 7, "application": "psql", "state": "idle in transaction", "seconds": 61}

    found = of_transactions([row])

    assert found.status is D
    assert found.message == "open: pid 7 (psql, idle in transaction) for 61 s"
    assert found.hint == "SELECT pg_terminate_backend(7);"
    assert of_transactions([]).status is H


@pytest.mark.parametrize(
    ("messages", "status"), [(0, H), (DEEP - 1, H), (DEEP, D), (TOO_DEEP - 1, D), (TOO_DEEP, U)]
)
def test_the_deepest_queue_counts(messages: int, status: Status) -> None:
    found = of_depths({CALLS: Depth(messages, 1), RETRY: Depth(3, 1)})

    assert statuses(found) == [("queues", status), ("dead-letter-queue", H)]


def test_a_queue_that_nobody_consumes_is_named() -> None:
    found = of_depths({CALLS: Depth(1, 0), RETRY: Depth(0, 2), names.rung(1): Depth(5, 0)})

    assert found[0].status is D
    assert f"nobody consumes {CALLS}" in found[0].message
    assert names.rung(1) not in found[0].message


def test_missing_queues_and_dead_letters_that_stay_are_degraded() -> None:
    assert statuses(of_depths({CALLS: Depth(None)})) == [("queues", D)]
    dead = {CALLS: Depth(0, 1), names.DEAD_LETTER_QUEUE: Depth(MANY_DEAD + 1, 1)}
    assert statuses(of_depths(dead)) == [("queues", H), ("dead-letter-queue", D)]


def test_queues_that_there_was_no_time_for_are_told() -> None:
    found = of_depths({CALLS: Depth(0, 1)}, unseen=7)

    assert found[0].message == "0 calls wait in 1 queues, 7 more were not asked about"
