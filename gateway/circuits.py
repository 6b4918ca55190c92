"""Holds back the calls of this process to hosts, apps and APIs that keep failing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import structlog

from schemas.reply import ErrorType

from .breaker import LOOK_AGAIN, Breaker, Pace, State
from .circuit import LEVELS, Circuit, CircuitTree, Level, Path, Sign, names_of, verdict_of
from .errors import NotNow
from .jobs import Job
from .metrics import Metrics

LEAST_CALLS = 20

log = structlog.get_logger()


class CircuitOpen(NotNow):
    """The host, the app or the API keeps failing: the call waits in its line."""

    waits_in_line = True

    def __init__(self, seconds: float) -> None:
        super().__init__(
            ErrorType.CIRCUIT_OPEN,
            "Feishu keeps failing for this API; it was not asked",
            retry_after=seconds,
        )


class Leave(NamedTuple):
    """How many calls may go, and after how many seconds to ask for the rest.

    `reason` says what holds the rest back: a breaker (open), or the pace after it closed (paused).
    """

    calls: int
    wait: float
    reason: Literal["", "open", "paused"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A try on its way, with the tickets of the breakers that it probes: host, app, API."""

    path: Path
    tickets: tuple[int, ...]


class Circuits:
    """Breakers of hosts, apps and APIs. An app opens where at least two of its APIs fail, a host
    where two apps do or where it cannot be reached: one bad API must not hold up the others.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        least_calls: int = LEAST_CALLS,
        clock: Callable[[], float] = time.monotonic,
        new_breaker: Callable[[], Breaker] = Breaker,
    ) -> None:
        self._metrics = metrics
        self._least_calls = least_calls
        self._clock = clock
        self._tree = CircuitTree(new_breaker)
        self._troubled: set[Circuit] = set()
        """Those that are not closed, or whose held calls still go on by and by."""
        self._listeners: list[Callable[[], None]] = []
        self._count_open()

    def on_news(self, listener: Callable[[], None]) -> None:
        """Call this whenever calls that wait may go on earlier than they were told."""
        self._listeners.append(listener)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody is held back by anything here."""
        return not self._troubled

    def allows(self, bucket_key: str, want: int) -> Leave:
        """How many calls in line for an API may go; the API is named by the key of its bucket."""
        path = self._tree.find(bucket_key)
        if path is None or not self._troubled:
            return Leave(want, 0.0, "")
        now = self._clock()
        wait = max(circuit.breaker.wait(now, at_turn=False) for circuit in path)
        if wait > 0:
            return Leave(0, wait, "open")
        if any(circuit.breaker.state(now) is State.HALF_OPEN for circuit in path):
            for circuit in path:
                circuit.breaker.offer(now)
            return Leave(1, LOOK_AGAIN, "open")
        for circuit in path:
            if (pace := circuit.pace) is not None:
                want, wait = pace.take(want, now), max(wait, pace.wait)
                if pace.is_over(now):
                    circuit.pace = None
                    self._troubled.discard(circuit)
        return Leave(want, wait, "paused")

    def enter(self, job: Job) -> Passage:
        """A try begins; raises CircuitOpen where it must not."""
        now = self._clock()
        path = self._tree.path(job, now, self._troubled)
        if not self._troubled:
            return Passage(path, ())
        wait = max(circuit.breaker.wait(now) for circuit in path)
        if wait > 0:
            raise CircuitOpen(wait)
        return Passage(path, tuple([circuit.breaker.take(now) for circuit in path]))

    def left(self, passage: Passage, sign: Sign) -> None:
        """The try has ended; whoever entered must leave once."""
        now, path = self._clock(), passage.path
        host, _, api = path
        if any(passage.tickets):
            self._end_probes(passage, sign, now)
        if sign is Sign.NOTHING:
            return
        host.tally.add(now, failed=sign is Sign.UNREACHABLE)
        if sign is Sign.UNREACHABLE:
            if host.tally.count(now).is_failing(self._least_calls):
                self._trip(host, path, sign, now)
            return
        api.tally.add(now, failed=sign is Sign.FAILING)
        if sign is Sign.FAILING:
            for circuit in path:
                if circuit.is_failing(now, self._least_calls):
                    self._trip(circuit, path, sign, now)

    def _trip(self, circuit: Circuit, path: Path, why: Sign, now: float) -> None:
        if circuit.breaker.state(now) is not State.CLOSED:
            return
        circuit.unreachable = why is Sign.UNREACHABLE
        count = (circuit.tally if circuit.unreachable else circuit).count(now)
        circuit.usual = count.usual
        circuit.breaker.trip(now)
        circuit.opened_at, circuit.pace = now, None
        self._troubled.add(circuit)
        self._metrics.circuits_opened.labels(circuit.level).inc()
        log.warning(
            "circuit opened",
            **names_of(circuit, path),
            why=why.value,
            failed=count.failed,
            calls=count.total,
            seconds=round(circuit.breaker.wait(now), 1),
        )

    def _end_probes(self, passage: Passage, sign: Sign, now: float) -> None:
        path, bad = passage.path, False
        for circuit, ticket in zip(path, passage.tickets, strict=True):
            verdict = verdict_of(circuit, sign)
            bad = bad or (ticket > 0 and verdict is False)
            if circuit.breaker.ended(ticket, verdict, now):
                self._close(circuit, path, now)
        if bad and sign is Sign.FAILING:
            # Else the next probe of its app or host may well be one of this API again.
            self._trip(path[2], path, sign, now)
        for listener in self._listeners:
            listener()

    def _close(self, circuit: Circuit, path: Path, now: float) -> None:
        circuit.clear()
        circuit.pace = Pace(circuit.usual, now)
        after = round(now - circuit.opened_at, 1)
        log.info("circuit closed", **names_of(circuit, path), after=after)

    def _count_open(self) -> None:
        for level in LEVELS:
            for state in (State.OPEN, State.HALF_OPEN):
                gauge = self._metrics.circuits.labels(level, state.value)
                gauge.set_function(partial(self._number, level, state))

    def _number(self, level: Level, state: State) -> float:
        now = self._clock()
        states = [each.breaker.state(now) for each in self._troubled if each.level == level]
        return float(states.count(state))
