"""What a used-up quota stops, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.apps import AppKind
from gateway.codes import CodeRow, meaning_of
from gateway.jobs import Job
from gateway.stops import keys_of, shown, stopped_by, until
from tests.support.builders import APP as STANDARD
from tests.support.builders import job_of

MAIL = "/open-apis/mail/v1/user_mailboxes"
APP = "app cli_1"
BULK = "/open-apis/message/v4/batch_send"
COUNTED = [
    "/open-apis/im/v1/messages",
    "/open-apis/drive/v1/files",
    "/open-apis/authority/v1/x",
    "/open-apis/bot/v3/info",
]
UNCOUNTED = [
    "/open-apis/auth/v3/tenant_access_token/internal",
    "/open-apis/authen/v1/user_info",
    "/open-apis/contact/v3/users/ou_1",
    "/open-apis/event/v1/outbound_ip",
    "/open-apis/hire/v1/jobs",
    "/open-apis/corehr/v1/jobs",
    "/open-apis/performance/v1/semesters",
    "/open-apis/apaas/v1/apps",
    "/open-apis/translation/v1/text/translate",
]


def row_of(code: int) -> CodeRow:
    row = meaning_of(code)
    assert row is not None
    return row


def sending(mailbox: str, path: str = "messages/send") -> Job:
    return job_of("POST", f"{MAIL}/:id/{path}", path_params={"id": mailbox})


@pytest.mark.parametrize(
    ("now", "month", "day"),
    [
        ("2026-06-15T12:00", "2026-07-01 00:00", "2026-06-16 00:00"),
        ("2026-12-31T15:59", "2027-01-01 00:00", "2027-01-01 00:00"),
        ("2026-12-31T16:00", "2027-02-01 00:00", "2027-01-02 00:00"),
        ("2028-02-28T16:00", "2028-03-01 00:00", "2028-03-01 00:00"),
        ("2026-01-31T15:00", "2026-02-01 00:00", "2026-02-01 00:00"),
    ],
)
def test_a_quota_is_renewed_when_the_month_or_the_day_ends_in_china(
    now: str, month: str, day: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    assert shown(until(row_of(99991403), moment)) == f"{month} (UTC+8)"
    assert shown(until(row_of(11247), moment)) == f"{day} (UTC+8)"


@pytest.mark.parametrize("path", COUNTED)
def test_the_months_quota_stops_every_call_of_the_app_that_it_counts(path: str) -> None:
    stopped = stopped_by(row_of(99991403), job_of("GET", "/open-apis/contact/v3/users/ou_1"))
    assert stopped == APP
    assert stopped in keys_of(job_of("POST", path))


@pytest.mark.parametrize("path", UNCOUNTED)
def test_what_the_months_quota_does_not_count_goes_on(path: str) -> None:
    assert APP not in keys_of(job_of("GET", path))


def test_the_days_bulk_messages_stop_that_api_alone() -> None:
    bulk = job_of("POST", BULK)
    stopped = stopped_by(row_of(11247), bulk)
    assert stopped == f"api cli_1 POST {BULK}"
    assert stopped in keys_of(bulk)
    assert stopped not in keys_of(job_of("POST", "/open-apis/im/v1/messages"))


@pytest.mark.parametrize("code", [1236007, 1236012])
def test_the_days_mails_of_one_user_stop_sending_from_that_mailbox_alone(code: int) -> None:
    stopped = stopped_by(row_of(code), sending("a@x.cn"))
    assert stopped is not None
    assert "x.cn" not in stopped
    for path in ("messages/send", "drafts/d_1/send"):
        assert stopped in keys_of(sending("a@x.cn", path))
        assert stopped not in keys_of(sending("b@x.cn", path))
    assert stopped in keys_of(job_of("POST", f"{MAIL}/a@x.cn/messages/send"))
    assert stopped not in keys_of(job_of("GET", f"{MAIL}/a@x.cn/messages"))


def test_what_cannot_be_told_apart_stops_nothing() -> None:
    assert stopped_by(row_of(1236007), sending("me")) is None
    # Mails without external recipients may still be sent.
    assert stopped_by(row_of(1236009), sending("a@x.cn")) is None


def of_tenant(tenant: str, path: str = "/open-apis/im/v1/messages") -> Job:
    store = replace(STANDARD, kind=AppKind.STORE)
    return job_of("POST", path, store, **{"as": {"tenant": tenant}})


@pytest.mark.parametrize(("code", "path"), [(99991403, "/open-apis/im/v1/messages"), (11247, BULK)])
def test_a_quota_of_a_store_app_stops_the_tenant_whose_it_is(code: int, path: str) -> None:
    stopped = stopped_by(row_of(code), of_tenant("t1", path))
    assert stopped is not None
    assert stopped in keys_of(of_tenant("t1", path))
    assert stopped not in keys_of(of_tenant("t2", path))
    assert stopped not in keys_of(job_of("POST", path))


def test_a_tenant_key_that_could_pass_for_another_stop_is_hashed() -> None:
    odd = stopped_by(row_of(99991403), of_tenant("t1|x\n"))
    assert odd is not None
    assert "\n" not in odd
    assert odd.count("|") == 1
