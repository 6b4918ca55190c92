"""What lines do while a breaker is open: wait, move on, or say so; and how they go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from consumers.circuit_gate import CircuitGate
from consumers.scheduler import Scheduler
from consumers.turns import Overflow, Turn
from gateway.breaker import Breaker
from gateway.circuit import Sign
from gateway.circuits import Circuits
from gateway.errors import GatewayError
from gateway.jobs import Job
from gateway.limits.grant import Ask, Grant
from gateway.limits.protocol import Limits
from gateway.metrics import Metrics
from schemas.reply import ErrorType, Outcome
from tests.support.doled import Doled, full
from tests.support.lines import MANY, SECOND, ended, job, settled, start
from tests.support.waiting import eventually


class Clock:
    """The real one, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Site:
    """A scheduler behind breakers that open for 5 s exactly."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.limiter = Doled()
        self.circuits = Circuits(
            Metrics(), clock=self.clock, new_breaker=lambda: Breaker(lambda: 0.0)
        )
        gate = CircuitGate(self.limiter, self.circuits)  # type: ignore[arg-type]
        self.scheduler = Scheduler(gate, cap=4)
        self.circuits.on_news(self.scheduler.look_again)
        self.tasks: list[asyncio.Task[Turn]] = []

    def open(self, call: Job) -> None:
        for _ in range(20):
            self.circuits.left(self.circuits.enter(call), Sign.FAILING)

    async def add(self, call: Job, lane: str = "bulk") -> asyncio.Task[Turn]:
        self.tasks.append(start(self.scheduler, call, lane))
        await settled()
        return self.tasks[-1]

    def reopen(self) -> None:
        """The pause is over."""
        self.clock.ahead += 5
        self.scheduler.look_again()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    yield site
    site.scheduler.close()
    await ended(site.tasks)


async def test_who_can_wait_waits_in_line_and_costs_no_permit(site: Site) -> None:
    site.open(job(MANY))
    task = await site.add(job(MANY))
    assert not task.done()
    assert not site.limiter.asked


async def test_who_cannot_is_told_at_once(site: Site) -> None:
    site.open(job(MANY))
    task = await site.add(job(MANY, left=4.0))
    error = task.exception()
    assert isinstance(error, GatewayError)
    assert (error.type, error.outcome) == (ErrorType.CIRCUIT_OPEN, Outcome.NOT_EXECUTED)
    assert error.retry_after == pytest.approx(5.0, abs=0.5)


async def test_another_api_is_not_held_up(site: Site) -> None:
    site.open(job(MANY))
    other = job(SECOND)
    other.route = replace(other.route, name="GET /open-apis/other")
    assert (await (await site.add(other))).waited < 1


async def test_the_excess_moves_out_of_the_process(site: Site) -> None:
    site.open(job(MANY))
    for _ in range(12):
        await site.add(job(MANY))
    moved = [task for task in site.tasks if task.done()]
    assert len(moved) == 12 - 4
    assert all(isinstance(task.exception(), Overflow) for task in moved)


async def test_one_goes_first_and_the_others_once_three_have_succeeded(site: Site) -> None:
    site.open(job(MANY))
    calls = [job(MANY) for _ in range(4)]
    for call in calls:
        await site.add(call)
    site.reopen()
    for number in (1, 2, 3):
        await eventually(lambda number=number: sum(task.done() for task in site.tasks) == number)
        [gone] = site.limiter.asked[number - 1 : number]
        assert gone == ("many", 1)
        site.circuits.left(site.circuits.enter(calls[number - 1]), Sign.HEALTHY)
    await ended(site.tasks)


async def test_a_probe_that_fails_sends_them_back_to_wait(site: Site) -> None:
    site.open(job(MANY))
    calls = [job(MANY) for _ in range(3)]
    for call in calls:
        await site.add(call)
    site.reopen()
    await eventually(lambda: any(task.done() for task in site.tasks))
    site.circuits.left(site.circuits.enter(calls[0]), Sign.FAILING)
    await settled()
    assert sum(task.done() for task in site.tasks) == 1


class Asked:
    """Limits that give one less than what is asked for."""

    async def acquire(self, asks: list[Ask]) -> list[Grant]:
        return [Grant(ask.want - 1, 0.0, 3.0, "window", 0) for ask in asks]


async def test_what_the_limiter_says_stands_where_it_gives_less() -> None:
    circuits = Circuits(Metrics(), new_breaker=lambda: Breaker(lambda: 0.0))
    limits: Limits = Asked()  # type: ignore[assignment]
    gate = CircuitGate(limits, circuits)
    for _ in range(20):
        circuits.left(circuits.enter(job(MANY)), Sign.FAILING)
    held, free = await gate.acquire([Ask((MANY,), 5), Ask((SECOND,), 5)])
    assert (held.granted, held.reason) == (0, "open")
    assert free == full(3.0)._replace(granted=4)
