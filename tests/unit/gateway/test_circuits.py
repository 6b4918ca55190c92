"""Breakers of hosts, apps and APIs together: what opens which, and how it closes again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.breaker import Breaker
from gateway.circuit import Sign, sign_of
from gateway.circuits import CircuitOpen, Circuits, Leave
from gateway.errors import AttemptFailed, Cause, NotNow, Refused
from gateway.jobs import Job
from gateway.metrics import Metrics
from schemas.reply import ErrorType, Outcome
from tests.support.builders import APP, make_job
from tests.support.feishu import Clock

HEALTHY, FAILING, UNREACHABLE = Sign.HEALTHY, Sign.FAILING, Sign.UNREACHABLE
READ, CHANGE, SEND = (make_job(klass) for klass in "RIK")


def of_app(job: Job, alias: str) -> Job:
    """The same call of another app."""
    app = replace(APP, alias=alias)
    own = replace(job.buckets[0], key=f"{alias}|{job.buckets[0].key}")
    return replace(job, app=app, buckets=(own, *job.buckets[1:]))


class Site:
    """Circuits whose clock stands still, and whose pauses are 5, 10, 20 s exactly."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.circuits = Circuits(
            self.metrics, clock=self.clock, new_breaker=lambda: Breaker(lambda: 0.0)
        )
        self.news = 0
        self.circuits.on_news(self._count)

    def _count(self) -> None:
        self.news += 1

    def end(self, job: Job, sign: Sign, times: int = 1) -> None:
        for _ in range(times):
            self.circuits.left(self.circuits.enter(job), sign)

    def end_each(self, jobs: Iterable[Job], sign: Sign, times: int) -> None:
        """All begin before the first one ends."""
        passages = [self.circuits.enter(job) for job in jobs for _ in range(times)]
        for passage in passages:
            self.circuits.left(passage, sign)

    def is_open(self, job: Job) -> bool:
        try:
            self.circuits.left(self.circuits.enter(job), Sign.NOTHING)
        except CircuitOpen:
            return True
        return False

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"lark_service_{name}", labels)


def failed(cause: Cause | None, outcome: Outcome = Outcome.UNKNOWN) -> AttemptFailed:
    return AttemptFailed(ErrorType.FEISHU_UNAVAILABLE, "x", cause=cause, outcome=outcome)


@pytest.mark.parametrize(
    ("error", "answered", "sign"),
    [
        (None, True, HEALTHY),
        (failed(Cause.UNREACHABLE, Outcome.NOT_EXECUTED), False, UNREACHABLE),
        (failed(Cause.UNSENT, Outcome.NOT_EXECUTED), False, UNREACHABLE),
        *((failed(cause), False, FAILING) for cause in (Cause.CUT, Cause.TIMEOUT)),
        *((failed(cause), True, FAILING) for cause in (Cause.SERVER_ERROR, Cause.INTERNAL_CODE)),
        (failed(Cause.INTERNAL_CODE, Outcome.NOT_EXECUTED), True, HEALTHY),
        (failed(None, Outcome.NOT_EXECUTED), False, Sign.NOTHING),
        (NotNow(ErrorType.RATE_LIMITED, "429"), True, HEALTHY),
        (Refused(ErrorType.QUOTA_EXHAUSTED, "quota"), True, HEALTHY),
        (Refused(ErrorType.FEISHU_ERROR, "code 230001"), True, HEALTHY),
        (NotNow(ErrorType.STORE_UNAVAILABLE, "no token"), False, Sign.NOTHING),
    ],
)
def test_what_the_end_of_a_try_says(error: Exception, answered: bool, sign: Sign) -> None:
    assert sign_of(error, answered=answered) is sign  # type: ignore[arg-type]


def test_an_api_that_fails_is_left_alone_and_nobody_else() -> None:
    site = Site()
    site.end(CHANGE, HEALTHY, 10)
    site.end(READ, FAILING, 19)
    assert not site.is_open(READ)
    site.end(READ, FAILING)
    assert site.is_open(READ)
    assert not site.is_open(CHANGE)
    assert not site.is_open(of_app(READ, "other"))
    with pytest.raises(CircuitOpen) as held:
        site.circuits.enter(READ)
    assert held.value.retry_after == 5.0


def test_an_api_of_which_less_than_half_fails_is_not() -> None:
    site = Site()
    site.end(READ, HEALTHY, 21)
    site.end(READ, FAILING, 20)
    assert not site.is_open(READ)


def test_an_app_opens_where_it_is_not_one_api_alone() -> None:
    site = Site()
    site.end_each([READ, CHANGE], FAILING, 19)
    assert not site.is_open(SEND)
    # Without either, 19 are left; with one more there are 20, whichever is left out.
    site.end_each([READ, CHANGE], FAILING, 1)
    assert site.is_open(SEND)
    assert not site.is_open(of_app(SEND, "other"))


def test_an_api_that_fails_now_and_then_does_not_let_another_stop_the_app() -> None:
    site = Site()
    site.end(READ, HEALTHY, 280)
    site.end(READ, FAILING, 120)
    site.end(CHANGE, FAILING, 20)
    assert site.is_open(CHANGE)
    assert not site.is_open(READ)


def test_a_host_opens_where_two_apps_fail() -> None:
    site = Site()
    site.end_each([READ, of_app(READ, "b")], FAILING, 20)
    assert site.is_open(of_app(SEND, "c"))


def test_a_host_that_cannot_be_reached_opens_for_all_of_it() -> None:
    site = Site()
    site.end(READ, UNREACHABLE, 20)
    assert site.is_open(of_app(SEND, "b"))
    elsewhere = of_app(SEND, "c")
    elsewhere.app = replace(elsewhere.app, domain="https://open.larksuite.com")
    assert not site.is_open(elsewhere)


def test_one_probe_at_a_time_and_three_close_it() -> None:
    site = Site()
    site.end(READ, FAILING, 20)
    site.clock.turn(5)
    for number in (1, 2, 3):
        probe = site.circuits.enter(READ)
        assert site.is_open(READ)
        site.circuits.left(probe, HEALTHY)
        assert site.news == number
    assert not site.is_open(READ)
    # Of what was before only the last probe counts.
    site.end(READ, FAILING, 18)
    assert not site.is_open(READ)


def test_a_probe_that_shows_nothing_frees_its_place() -> None:
    site = Site()
    site.end(READ, FAILING, 20)
    site.clock.turn(5)
    site.end(READ, Sign.NOTHING)
    assert not site.is_open(READ)


def test_a_host_that_answers_a_probe_with_a_failure_can_be_reached() -> None:
    site = Site()
    site.end(READ, UNREACHABLE, 20)
    site.clock.turn(5)
    site.end(READ, FAILING, 3)
    assert not site.is_open(SEND)


def test_an_api_whose_probe_of_the_app_fails_does_not_probe_it_again_at_once() -> None:
    site = Site()
    site.end_each([READ, CHANGE, SEND], FAILING, 10)
    opened = [site.value("circuits_opened_total", level=level) for level in ("app", "api")]
    assert opened == [1, None]
    site.clock.turn(5)
    site.end(SEND, FAILING)
    assert site.value("circuits", level="api", state="open") == 1


def test_lines_are_told_how_many_may_go() -> None:
    site = Site()
    key = READ.buckets[0].key
    assert site.circuits.allows(key, 7) == Leave(7, 0.0, "")
    site.end(READ, FAILING, 20)
    assert site.circuits.allows(key, 7) == Leave(0, 5.0, "open")
    assert site.circuits.allows(SEND.buckets[0].key, 7).calls == 7
    site.clock.turn(5)
    assert site.circuits.allows(key, 7) == Leave(1, 1.0, "open")
    # Its place is kept for a second.
    assert site.circuits.allows(key, 7) == Leave(0, 1.0, "open")
    site.clock.turn(1)
    site.end(READ, HEALTHY, 3)
    leave = site.circuits.allows(key, 1000)
    assert (leave.calls, leave.reason) == (1, "paused")
    site.clock.turn(5)
    site.circuits.allows(key, 1)
    site.clock.turn(5)
    site.circuits.allows(key, 1)
    assert site.circuits.is_quiet


def test_opening_and_closing_are_told_once_and_counted() -> None:
    site = Site()
    with capture_logs() as lines:
        site.end(READ, FAILING, 20)
        assert site.value("circuits", level="api", state="open") == 1
        site.clock.turn(5)
        assert site.value("circuits", level="api", state="half_open") == 1
        site.end(READ, FAILING)
        site.clock.turn(10)
        site.end(READ, HEALTHY, 3)
    opened, closed = lines
    where = {"host": APP.domain, "app": "default", "api": READ.route.name}
    assert opened == {
        "event": "circuit opened",
        "log_level": "warning",
        "why": "failing",
        "failed": 20,
        "calls": 20,
        "seconds": 5.0,
        **where,
    }
    assert closed == {"event": "circuit closed", "log_level": "info", "after": 15.0, **where}
    assert site.value("circuits_opened_total", level="api") == 1
    assert site.value("circuits", level="api", state="open") == 0


def test_apis_without_calls_are_forgotten_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.circuit.MOST_APIS", 3)
    site = Site()
    site.end(READ, FAILING, 20)
    for alias in "bcdefg":
        site.clock.turn(31)
        site.end(of_app(READ, alias), FAILING, 2)
    assert len(site.circuits._tree._paths) <= 3
    assert site.circuits._tree.find(READ.buckets[0].key)
