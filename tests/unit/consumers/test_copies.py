"""What is sent on: delayed copies and dead letters."""

from __future__ import annotations

import json

import pytest
from pamqp import commands as spec

from consumers.codec import history_of, open_envelope
from consumers.copies import (
    MOST_HEADER_BYTES,
    dead_letter,
    delayed_copy,
    kept_headers,
    moved_copy,
    rung_after,
    rung_within,
)
from schemas import names
from schemas.dead_letter import DeadLetter, DeadReason
from schemas.reply import CallError, ErrorType, Outcome
from tests.support.builders import NOW, make_copy, make_delivery

ERROR = CallError(
    type=ErrorType.FORBIDDEN, message="no", retryable=False, outcome=Outcome.NOT_EXECUTED
)
GIVEN = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "message_id": "m",
    "correlation_id": "c",
    "reply_to": "lark.reply.x",
    "priority": 3,
    "message_type": "lark.call.v1",
    "app_id": "shop",
}


def letter(**changes: object) -> DeadLetter:
    given = {"reason": DeadReason.FORBIDDEN, "error": ERROR, "call_id": "m", "first_seen": 17}
    return DeadLetter.model_validate(given | changes)


def test_headers_of_the_broker_and_forged_ones_are_not_kept() -> None:
    headers = {
        "kept": 1,
        "traceparent": "t",
        "lark-deadline": 5,
        "lark-call-id": "c",
        "lark-attempts": 9,
        "lark-anything": 1,
        "x-death": [],
        "x-anything": 1,
        "CC": [],
        "BCC": [],
    }
    assert kept_headers(make_delivery(headers=headers)) == {
        "kept": 1,
        "traceparent": "t",
        "lark-deadline": 5,
        "lark-call-id": "c",
    }


def test_of_too_many_headers_the_largest_are_left_out() -> None:
    headers = {"small": 1, "large": "x" * 60_000, "larger": "y" * 61_000, "largest": "z" * 62_000}
    assert kept_headers(make_delivery(headers=headers)).keys() == {"small", "large"}
    assert len("x" * 60_000) < MOST_HEADER_BYTES


@pytest.mark.parametrize(
    ("delay", "rung"),
    [(-1, 1), (0, 1), (0.9, 1), (1, 1), (4.9, 2), (5, 5), (59, 15), (10**9, 3600)],
)
def test_a_parked_call_is_back_before_its_slot(delay: float, rung: int) -> None:
    assert rung_within(delay) == rung


@pytest.mark.parametrize(
    ("delay", "rung"), [(0, 1), (0.1, 1), (1, 1), (1.1, 2), (5.1, 15), (61, 300), (10**9, 3600)]
)
def test_a_pause_is_not_cut_short(delay: float, rung: int) -> None:
    assert rung_after(delay) == rung


def test_a_delayed_copy_is_the_same_call_with_a_history() -> None:
    delivery = make_delivery(b"body", headers={"tenant": "acme", "x-death": []}, **GIVEN)
    envelope = open_envelope(delivery)
    copy = make_copy(delivery, attempts=2, tries=3, not_before=NOW + 7)
    again = open_envelope(copy)
    assert again.call_id == "m"
    assert again.id_given
    assert again.deadline == envelope.deadline
    history = history_of(copy)
    assert (history.first_seen, history.attempts, history.tries) == (NOW, 2, 3)
    assert history.not_before == NOW + 7
    assert copy.headers["tenant"] == "acme"
    assert "x-death" not in copy.headers
    for name, value in GIVEN.items():
        assert getattr(copy.properties, name) == value
    assert copy.properties.expiration is None


def test_the_producers_own_deadline_stays_as_it_was() -> None:
    given = str(int(NOW + 5) * 1000)
    copy = make_copy(make_delivery(expiration="1000", headers={"lark-deadline": given}))
    assert open_envelope(copy).deadline == NOW + 1
    assert copy.headers["lark-deadline"] == given


def test_a_made_up_call_id_stays_made_up() -> None:
    copy = make_copy(make_delivery())
    again = open_envelope(copy)
    assert again.call_id == copy.headers["lark-call-id"]
    assert not again.id_given


def test_a_copy_remembers_who_the_producer_was() -> None:
    copy = make_copy(make_delivery(user_id="shop"))
    assert copy.properties.user_id is None
    assert history_of(copy).producer == "shop"


def test_a_copy_of_a_copy_keeps_the_first_history() -> None:
    copy = make_copy(make_copy(make_delivery(user_id="shop", message_id="m"), attempts=1))
    assert history_of(copy).producer == "shop"
    assert history_of(copy).first_seen == NOW


def test_a_moved_copy_is_a_delayed_copy_that_names_its_queue_and_whose_time_the_broker_counts() -> (
    None
):
    headers = {"tenant": "acme", "lark-overflow": "forged", "lark-moved-at": 1}
    delivery = make_delivery(user_id="shop", headers=headers, expiration="9000")
    envelope = open_envelope(delivery)
    copy = moved_copy(delivery, envelope, "queue", attempts=1, tries=2, now=NOW + 1.5)
    expected = delayed_copy(delivery, envelope, attempts=1, tries=2, not_before=0.0)
    assert copy.pop("expiration") == "7500"
    expected["headers"] |= {"lark-overflow": "queue", "lark-moved-at": int(NOW * 1000) + 1500}
    assert copy == expected
    assert (
        moved_copy(delivery, envelope, "q", attempts=0, tries=0, now=NOW + 10)["expiration"] == "1"
    )


def test_a_call_stays_moved_when_it_comes_back_from_a_rung() -> None:
    first = make_delivery(user_id="shop", message_id="m")
    assert history_of(first).moved_at == 0
    properties = moved_copy(first, open_envelope(first), "q", attempts=0, tries=0, now=NOW + 1)
    moved = make_delivery(exchange=names.OVERFLOW_EXCHANGE, **properties)
    assert history_of(moved).producer == "shop"
    assert open_envelope(moved).deadline == open_envelope(first).deadline
    for copy in (moved, make_copy(moved), make_copy(make_copy(moved))):
        assert history_of(copy).moved_at == NOW + 1
    assert history_of(make_copy(first)).moved_at == 0


def test_a_producer_cannot_say_that_its_call_was_moved() -> None:
    forged = make_delivery(headers={"lark-moved-at": 1, "lark-overflow": "q"})
    assert history_of(forged).moved_at == 0
    assert not kept_headers(forged)


def test_a_dead_letter_says_what_it_was_and_why() -> None:
    delivery = make_delivery(
        b"body", headers={"tenant": "acme", "CC": []}, expiration="5", user_id="shop", **GIVEN
    )
    properties = dead_letter(
        delivery,
        letter(
            attempts=2,
            origin_exchange="lark.calls",
            origin_routing_key="default.bulk",
            origin_user="shop",
        ),
    )
    headers = properties.pop("headers")
    assert properties == GIVEN
    assert json.loads(headers.pop("lark-dead-error")) == ERROR.model_dump(exclude_none=True)
    assert headers == {
        "tenant": "acme",
        "lark-call-id": "m",
        "lark-dead-reason": "forbidden",
        "lark-attempts": 2,
        "lark-first-seen": 17,
        "lark-origin-exchange": "lark.calls",
        "lark-origin-routing-key": "default.bulk",
        "lark-origin-user": "shop",
    }
    spec.Basic.Properties(**properties, headers=headers).marshal()


def test_a_dead_letter_without_a_usable_call_id_has_none() -> None:
    delivery = make_delivery(headers={"lark-call-id": "a b"})
    assert "lark-call-id" not in dead_letter(delivery, letter(call_id=None))["headers"]


def test_a_dead_letter_without_a_message_id_gets_one_so_that_it_becomes_one_row() -> None:
    ids = {dead_letter(make_delivery(), letter())["message_id"] for _ in range(9)}
    assert len(ids) == 9


def test_a_copys_properties_are_those_that_are_published() -> None:
    delivery = make_delivery(**GIVEN)
    envelope = open_envelope(delivery)
    copy = delayed_copy(delivery, envelope, attempts=1, tries=1, not_before=0.0)
    assert copy["headers"][names.HEADER_NOT_AFTER] == int(envelope.deadline * 1000)
    assert names.HEADER_DEADLINE not in copy["headers"]
    assert copy["headers"][names.HEADER_FIRST_SEEN] == int(NOW * 1000)
