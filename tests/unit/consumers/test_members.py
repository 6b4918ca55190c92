"""What a process knows of the members of a pool, and whom it chooses by that."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pydantic import SecretStr

from consumers.backlog import Backlog
from consumers.members import FAILING_SECONDS, Members
from gateway.apps import App, AppKind, Apps, AppStatus, Pool
from gateway.errors import GatewayError, Refused
from gateway.jobs import Job, prepare
from gateway.limits.buckets import Bucket
from schemas.reply import ErrorType, Outcome
from tests.support.builders import APP, dimensions, make_call

ONE, TWO, THREE = (replace(APP, alias=name, app_id=f"cli_{name}") for name in ("a", "b", "c"))
POOL = Pool("all", ("a", "b", "c"))
CALL = make_call()
BROKEN = Refused(ErrorType.CREDENTIALS_INVALID, "no")


class Site:
    """Three members, whose clock is moved by hand."""

    def __init__(self, *apps: App) -> None:
        self.now = 100.0
        self.paused: list[Bucket] = []
        self.backlog = Backlog()
        self.apps = Apps(apps or (ONE, TWO, THREE), [POOL])
        self.members = Members(
            self.apps, dimensions(), self.backlog, lambda: self.paused, clock=lambda: self.now
        )

    def chosen(self, times: int = 6, asked: tuple[str, ...] = ()) -> Counter[str]:
        """Who is chosen how often, while nobody gets in line."""
        found = (self.members.choose(POOL, CALL, "bulk", asked) for _ in range(times))
        return Counter(app.alias for app in found if app is not None)

    def fails(self, app: App, error: GatewayError = BROKEN) -> bool:
        return self.members.heard(job(app), error)


def job(app: App, alias: str = "all") -> Job:
    return prepare(app, CALL, dimensions(), call_id="c", id_given=True, deadline=1e12, alias=alias)


def test_idle_members_have_it_in_turn() -> None:
    assert Site().chosen() == {"a": 2, "b": 2, "c": 2}


def test_who_has_calls_in_line_or_under_way_is_passed_over_until_the_others_have_as_many() -> None:
    site = Site()
    for alias in ("a", "all"):
        # An app's own calls use its limit as well.
        site.members.entered(job(ONE, alias))
    site.members.entered(job(TWO))
    assert site.chosen() == {"c": 6}
    site.members.left(job(TWO))
    assert site.chosen() == {"b": 3, "c": 3}


def test_calls_that_wait_in_the_broker_count_as_those_in_line() -> None:
    site = Site()
    site.backlog.seen(job(ONE).buckets[0].key, "bulk", 5)
    assert site.chosen() == {"b": 3, "c": 3}


def test_who_is_paused_is_passed_over() -> None:
    site = Site()
    site.paused = [job(TWO).buckets[0]]
    assert set(site.chosen()) == {"a", "c"}


def test_who_was_asked_is_not_asked_again() -> None:
    assert set(Site().chosen(asked=("a", "b"))) == {"c"}
    assert Site().chosen(asked=("a", "b", "c")) == {}


def test_disabled_removed_and_store_apps_are_no_choice() -> None:
    site = Site(
        replace(ONE, status=AppStatus.DISABLED),
        replace(TWO, status=AppStatus.REMOVED),
        replace(THREE, kind=AppKind.STORE),
    )
    assert site.chosen() == {}


def test_who_cannot_read_its_secret_is_asked_when_nobody_else_is_left() -> None:
    site = Site(replace(ONE, unreadable="no key"), TWO)
    assert set(site.chosen()) == {"b"}
    assert set(site.chosen(asked=("b",))) == {"a"}


def test_a_broken_member_is_passed_over_for_a_time_and_then_tried_by_one_call() -> None:
    site = Site()
    assert site.fails(ONE)
    assert not site.fails(ONE), "that is known"
    assert set(site.chosen()) == {"b", "c"}
    site.now += FAILING_SECONDS + 1
    assert "a" in site.chosen()
    site.members.entered(job(ONE))
    for each in (TWO, TWO, THREE, THREE):
        site.members.entered(job(each))
    assert "a" not in site.chosen()
    site.members.left(job(ONE))
    site.members.heard(job(ONE), None)
    site.members.entered(job(ONE))
    assert set(site.chosen()) == {"a"}


def test_a_member_with_a_new_secret_is_another() -> None:
    site = Site()
    site.fails(ONE)
    site.apps.replace([replace(ONE, secret=SecretStr("new")), TWO, THREE], [POOL])
    assert "a" in site.chosen()


def test_what_one_api_lacks_is_of_that_api_alone() -> None:
    site = Site()
    assert not site.fails(ONE, Refused(ErrorType.PERMISSION_DENIED, "no scope"))
    assert set(site.chosen()) == {"b", "c"}
    other = make_call(path="/open-apis/im/v1/chats", path_params={})
    found = {app.alias for _ in range(3) if (app := site.members.choose(POOL, other, "bulk"))}
    assert found == {"a", "b", "c"}


def test_what_may_have_been_executed_or_is_the_calls_own_fault_says_nothing_of_the_member() -> None:
    site = Site()
    site.fails(ONE, Refused(ErrorType.APP_UNAVAILABLE, "?", outcome=Outcome.UNKNOWN))
    site.fails(TWO, Refused(ErrorType.FEISHU_ERROR, "bad id", outcome=Outcome.EXECUTED))
    assert set(site.chosen()) == {"a", "b", "c"}
