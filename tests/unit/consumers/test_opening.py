"""A pool's call on its way from member to member, until one may have executed it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest

from consumers.backlog import Backlog
from consumers.codec import Delivery, Poison
from consumers.members import Members
from consumers.opening import Opener
from consumers.work import Work
from gateway.apps import App, Apps, AppStatus, Pool
from gateway.errors import GatewayError, NotNow, Refused
from gateway.executor import Ended
from gateway.member_claims import MemberClaims
from gateway.producer_grants import ProducerGrants
from gateway.tokens.token import Token
from schemas import names
from schemas.reply import ErrorType, Outcome
from tests.support.builders import APP, dimensions, make_copy, make_delivery
from tests.support.calls import invite, read, send
from tests.support.outcomes import given

ONE, TWO = (replace(APP, alias=name, app_id=f"cli_{name}") for name in ("a", "b"))
POOL = Pool("all", ("a", "b"))
NO = Ended(None, Refused(ErrorType.CREDENTIALS_INVALID, "no"))
WAIT = Ended(None, NotNow(ErrorType.RATE_LIMITED, "wait", retry_after=3.0))


class Claims:
    """Who has a call, in memory."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    async def take(self, pool: str, call_id: str, member: str) -> str | None:
        before = self.held.get(call_id)
        self.held.setdefault(call_id, member)
        return before

    async def give(self, pool: str, call_id: str, member: str) -> None:
        self.held[call_id] = member

    async def drop(self, pool: str, call_id: str) -> None:
        del self.held[call_id]


class Site:
    """A pool of two, opened for calls."""

    def __init__(self) -> None:
        self.apps = Apps([ONE, TWO], [POOL])
        self.claims = Claims()
        members = Members(self.apps, dimensions(), Backlog(), list)
        self.producers = ProducerGrants(dimensions())
        self.opener = Opener(
            *(self.apps, dimensions(), members, cast(MemberClaims, self.claims)), self.producers
        )

    def open(self, delivery: Delivery, alias: str = "all") -> Work:
        return self.opener.open(delivery, alias)


@pytest.fixture
def site() -> Site:
    return Site()


def call(body: dict[str, Any], **changes: Any) -> Delivery:
    given = {"message_id": "c-1", "routing_key": "all.bulk"}
    return make_delivery(orjson.dumps(body), **given | changes)


def other(work: Work) -> App:
    return TWO if work.job.app == ONE else ONE


def test_the_key_of_a_call_is_the_same_whoever_serves_it(site: Site) -> None:
    first, second = site.open(call(send())), site.open(call(send()))
    assert first.job.app != second.job.app
    assert first.job.request.content == second.job.request.content
    own = site.open(call(send(), routing_key="a.bulk"), "a")
    assert own.job.request.content != first.job.request.content


def test_a_call_goes_to_the_next_member_and_keeps_what_was_counted(site: Site) -> None:
    work = site.open(call(read()))
    work.job.attempts, work.job.tries, work.job.upstream_seconds = 1, 2, 0.5
    before, next_one = work.job, other(work)
    assert site.opener.pass_on(work, NO) is None
    assert work.job.app == next_one
    assert (work.job.attempts, work.job.tries, work.job.upstream_seconds) == (1, 2, 0.5)
    assert (work.job.call_id, work.job.deadline) == (before.call_id, before.deadline)


def test_when_all_were_asked_the_answer_is_what_can_be_soonest(site: Site) -> None:
    work = site.open(call(read()))
    assert site.opener.pass_on(work, WAIT) is None
    assert site.opener.pass_on(work, NO) is WAIT
    assert site.opener.pass_on(work, NO) is None, "after that wait everyone is asked once more"


def test_an_apps_own_call_is_not_passed_on(site: Site) -> None:
    work = site.open(call(read(), routing_key="a.bulk"), "a")
    assert site.opener.pass_on(work, NO) is NO
    assert work.job.app == ONE


@pytest.mark.parametrize("body", [read(), send(), invite(retry="always")])
def test_what_may_have_been_executed_stays_with_its_member_for_ever(
    site: Site, body: dict[str, Any]
) -> None:
    work = site.open(call(body))
    member = work.job.app
    work.job.doubtful = True
    site.opener.pass_on(work, Ended(None, Refused(ErrorType.TIMEOUT, "?", outcome=Outcome.UNKNOWN)))
    assert work.is_bound
    assert site.opener.pass_on(work, NO) is NO
    site.opener.choose_again(work)
    assert work.job.app == member
    work.job.attempts = 1
    for _ in range(4):
        copy = make_copy(work.delivery, attempts=1, member=member.alias)
        again = site.open(copy)
        assert again.job.app == member
        assert again.job.doubtful
        assert again.is_bound


def test_a_copy_whose_attempts_surely_did_nothing_may_go_to_anybody(site: Site) -> None:
    copy = make_copy(call(read()), attempts=1)
    works = [site.open(copy) for _ in range(2)]
    assert {work.job.app.alias for work in works} == {"a", "b"}
    assert not any(work.job.doubtful or work.is_bound for work in works)


def test_a_producer_cannot_choose_the_member(site: Site) -> None:
    forged = [site.open(call(read(), headers={names.HEADER_MEMBER: "b"})) for _ in range(2)]
    assert {work.job.app.alias for work in forged} == {"a", "b"}
    assert not any(work.is_bound for work in forged)


def test_a_call_whose_member_is_gone_is_not_repeated_by_another(site: Site) -> None:
    copy = make_copy(call(send()), attempts=1, member="a")
    site.apps.replace([replace(ONE, status=AppStatus.DISABLED), TWO], [POOL])
    with pytest.raises(Refused) as refused:
        site.open(copy)
    assert refused.value.type is ErrorType.OUTCOME_UNKNOWN
    assert refused.value.outcome is Outcome.UNKNOWN


def test_before_another_try_the_member_is_chosen_anew(site: Site) -> None:
    work = site.open(call(read()))
    chosen = set()
    for _ in range(3):
        site.opener.choose_again(work)
        chosen.add(work.job.app.alias)
    assert chosen == {"a", "b"}


def test_a_rejected_token_is_tried_once_more_by_who_got_it(site: Site) -> None:
    work = site.open(call(read()))
    work.job.rejected, member = cast(Token, object()), work.job.app
    for _ in range(3):
        site.opener.choose_again(work)
        assert work.job.app == member


@pytest.mark.parametrize("identity", [{"user": "u"}, {"tenant": "t"}])
def test_who_is_of_one_app_is_refused_after_all_that_counts_first(
    site: Site, identity: dict[str, str]
) -> None:
    body = read(**{"as": identity})
    with pytest.raises(Refused) as refused:
        site.open(call(body))
    assert refused.value.type is ErrorType.INVALID_CALL
    with pytest.raises(Poison, match="reply_to"):
        site.open(call(body, reply_to="lark.dead"))


def test_a_pool_without_a_member_that_takes_calls_is_unavailable(site: Site) -> None:
    gone = [replace(app, status=AppStatus.DISABLED) for app in (ONE, TWO)]
    site.apps.replace(gone, [POOL])
    with pytest.raises(Refused) as refused:
        site.open(call(read()))
    assert refused.value.type is ErrorType.APP_UNAVAILABLE
    site.apps.replace([ONE, TWO], [replace(POOL, removed=True)])
    with pytest.raises(Refused) as refused:
        site.open(call(read()))
    assert refused.value.type is ErrorType.UNROUTED


async def test_who_sends_a_call_with_a_key_is_known_to_whoever_takes_it_up_later(
    site: Site,
) -> None:
    first = site.open(call(send()))
    await site.opener.claim(first)
    for _ in range(2):
        again = site.open(call(send(), redelivered=True))
        await site.opener.claim(again)
        assert again.job.app == first.job.app
        assert again.is_bound
        assert again.job.doubtful


async def test_a_claim_moves_with_the_call_and_ends_where_nothing_was_executed(
    site: Site,
) -> None:
    work = site.open(call(send()))
    await site.opener.claim(work)
    site.opener.pass_on(work, NO)
    await site.opener.claim(work)
    assert site.claims.held == {"c-1": work.job.app.alias}
    copy = site.open(make_copy(work.delivery))
    await site.opener.claim(copy)
    assert site.claims.held == {"c-1": copy.job.app.alias}
    await site.opener.end(copy, NO.error)
    assert not site.claims.held


async def test_who_gives_a_call_back_leaves_the_choice_to_the_next(site: Site) -> None:
    work = site.open(call(send()))
    await site.opener.claim(work)
    await site.opener.release(work)
    again = site.open(call(send(), redelivered=True))
    await site.opener.claim(again)
    assert again.job.app != work.job.app
    assert not again.is_bound


@pytest.mark.parametrize("error", [None, Refused(ErrorType.TIMEOUT, "?", outcome=Outcome.UNKNOWN)])
async def test_a_claim_stays_where_the_call_was_or_may_have_been_executed(
    site: Site, error: GatewayError | None
) -> None:
    work = site.open(call(send()))
    await site.opener.claim(work)
    await site.opener.end(work, error)
    assert site.claims.held


@pytest.mark.parametrize("body", [read(), invite()])
async def test_calls_without_a_key_need_no_claim(site: Site, body: dict[str, Any]) -> None:
    await site.opener.claim(site.open(call(body)))
    assert not site.claims.held


@pytest.mark.parametrize(
    ("body", "klass", "window"),
    [
        (send(), "K", 3000.0),
        (send(retry="never"), "K", 3000.0),
        (send(retry="always"), "K", math.inf),
        (invite(), "N", 3000.0),
        (invite(retry="never"), "N", 3000.0),
        (invite(retry="always"), "K", math.inf),
    ],
)
def test_the_records_are_asked_by_what_may_be_repeated(
    site: Site, body: dict[str, Any], klass: str, window: float
) -> None:
    asked = site.open(call(body, redelivered=True)).question
    assert asked is not None
    assert (asked.alias, asked.call_id, asked.redelivered) == ("all", "c-1", True)
    assert (asked.klass, asked.key_seconds) == (klass, window)
    again = site.open(call(body | {"retry": "safe"}, routing_key="all.interactive")).question
    assert again is not None
    assert again.fingerprint == asked.fingerprint


@pytest.mark.parametrize("body", [read(), invite()])
def test_nothing_is_asked_about_calls_that_are_not_recorded(
    site: Site, body: dict[str, Any]
) -> None:
    changes = {} if body["method"] == "GET" else {"message_id": None}
    assert site.open(call(body, **changes)).question is None


def test_a_claim_goes_with_the_call_from_member_to_member(site: Site) -> None:
    work = site.open(call(send()))
    assert work.question is not None
    claim = work.job.claim = given(work.question)
    assert site.opener.pass_on(work, NO) is None
    assert work.job.claim is claim


def test_of_a_call_that_may_have_been_sent_it_is_not_said_that_its_app_is_disabled(
    site: Site,
) -> None:
    site.apps.replace([replace(ONE, status=AppStatus.DISABLED), TWO], [POOL])
    own = {"routing_key": "a.bulk"}
    with pytest.raises(Refused) as refused:
        site.open(call(invite(), **own), "a")
    assert refused.value.type is ErrorType.APP_UNAVAILABLE
    assert site.open(call(invite(), redelivered=True, **own), "a").question is not None
